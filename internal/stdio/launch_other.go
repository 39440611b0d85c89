//go:build !linux

package stdio

import (
	"errors"

	"gatehouse/internal/fault"
	"gatehouse/internal/local"
)

// LaunchWord is the first argument with which Gatehouse runs itself to become a
// program, on Linux.
const LaunchWord = "stdio-launch"

// Launch fails: keeping programs apart from Gatehouse needs Linux.
func Launch(string, []string) error { return errors.New("programs can be run on Linux only") }

func run(def local.Definition, _ string) (*program, error) {
	return nil, fault.New(fault.Unavailable, "stdio:%s can't be run here: that needs Linux", def.Name)
}

func endIn([]string) {}
