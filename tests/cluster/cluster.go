// Package cluster pins the cluster that the tests run against: the API server and etcd, which are built from
// here (the tools of go.mod), and the Gateway API, whose CRDs are read from its module. scripts/cluster-assets
// puts all of them into one directory. Nothing here is part of tidegate.
package cluster

import _ "sigs.k8s.io/gateway-api/pkg/consts" // Of its packages none is used; it keeps the module in go.mod.
