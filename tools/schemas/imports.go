// Package schemas pins what the schemas of Flux's kinds are generated from.
package schemas

import (
	_ "github.com/fluxcd/helm-controller/api/v2"
	_ "github.com/fluxcd/notification-controller/api/v1"
)
