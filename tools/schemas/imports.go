// Package schemas pins what HelmRelease's schema is generated from.
package schemas

import _ "github.com/fluxcd/helm-controller/api/v2"
