// Package schemas pins the modules that the schemas of Flux kinds are generated from.
package schemas

import (
	_ "github.com/fluxcd/helm-controller/api/v2"
	_ "github.com/fluxcd/notification-controller/api/v1"
)
