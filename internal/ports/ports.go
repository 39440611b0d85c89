// Package ports gives each proxy two ports of its own, for good: it finds free
// ones, writes down whose they are, and takes them back when the proxy is gone.
// All nodes of a store have one allocation. Who listens on the ports is package
// edge's matter, which proxies there are package roster's.
//
// A port is given by creating its record, which must not exist yet: of two nodes
// that want it at once one gets it, and the other takes what is there.
package ports

import (
	"hash/fnv"
	"slices"
	"time"
)

// Range is a range of ports, both ends included.
type Range struct{ First, Last int }

// The ranges that ports are given out of.
var (
	HTTP     = Range{12000, 12999} // of proxy instances
	HTTPS    = Range{13000, 13999} // of proxy instances
	Services = Range{14000, 65535} // published by services
)

// restricted are never given: somebody expects something else there.
var restricted = []int{22, 25, 53, 80, 443, 3306, 5432, 6379, 27017}

// Holds reports whether port is one of r that may be given.
func (r Range) Holds(port int) bool {
	return port >= r.First && port <= r.Last && !slices.Contains(restricted, port)
}

// spread is over how many ports hostnames are spread.
const spread = 1000

// localhost is the proxy whose ports people know.
const localhost = "localhost"

// preferred is where the search for a host's port begins: the same on every node.
func (r Range) preferred(host string) int {
	if host == localhost {
		return r.First
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(host)) // never fails
	return r.First + int(h.Sum32()%spread)
}

// from yields the ports of r that may be given, first preferred ones first.
func (r Range) from(first int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		size := r.Last - r.First + 1
		for i := range size {
			port := r.First + (first-r.First+i)%size
			if r.Holds(port) && !yield(port) {
				return
			}
		}
	}
}

// Pair is the two ports of a proxy's instances; 0 where it has none.
type Pair struct {
	HTTP  int `json:"http,omitempty"`
	HTTPS int `json:"https,omitempty"`
}

func (p Pair) whole() bool { return p.HTTP != 0 && p.HTTPS != 0 }

// has reports whether port is one of the two.
func (p Pair) has(port int) bool { return port != 0 && (port == p.HTTP || port == p.HTTPS) }

// Lack is why a proxy does not have one of its ports; empty where it has it.
type Lack struct{ HTTP, HTTPS string }

// Kinds of owners.
const (
	OfProxy   = "proxy"
	OfService = "service"
)

// Purposes of a proxy's ports.
const (
	ForHTTP  = "http"
	ForHTTPS = "https"
)

// Allocation is one port that is somebody's.
type Allocation struct {
	Port    int       `json:"port"`
	Kind    string    `json:"kind" jsonschema:"whose it is: proxy or service"`
	Owner   string    `json:"owner" jsonschema:"the proxy's hostname, or the service's name"`
	Purpose string    `json:"purpose" jsonschema:"http or https of a proxy; a service's own name for it"`
	Bind    string    `json:"bind_address" jsonschema:"where the node that allocated it listens; each node has its own address"`
	At      time.Time `json:"allocated_at"`
}

// Where allocations stand in the store.
const (
	ClaimPrefix = "port:"     // one Allocation for each port
	PairPrefix  = "instance:" // one Pair for each proxy
)
