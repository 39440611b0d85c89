package config

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// maxFile bounds what is read from a file that a variable names, in bytes.
const maxFile = 1 << 20

// folder is a path, made absolute. A tilde would have been expanded by a shell;
// here it would quietly make a folder of that name.
func folder() kind[string] {
	return kind[string]{"a path (write ~ out: it is not expanded here)", func(raw string) (string, error) {
		if strings.HasPrefix(raw, "~") || strings.ContainsRune(raw, 0) {
			return "", errForm
		}
		return filepath.Abs(raw)
	}}
}

func absolutePath() kind[string] {
	return kind[string]{"an absolute path", func(raw string) (string, error) {
		if !filepath.IsAbs(raw) || strings.ContainsRune(raw, 0) {
			return "", errForm
		}
		return filepath.Clean(raw), nil
	}}
}

// pemFile is a path whose file holds at least one certificate.
func pemFile() kind[string] {
	return kind[string]{"the path of a readable file with PEM certificates", func(raw string) (string, error) {
		content, err := readFile(raw)
		if err != nil {
			return "", err
		}
		for {
			var block *pem.Block
			if block, content = pem.Decode(content); block == nil {
				return "", errors.New("there is no certificate in it")
			}
			if block.Type == "CERTIFICATE" {
				return filepath.Abs(raw)
			}
		}
	}}
}

func imageGlobs() kind[[]string] {
	return list("image globs separated by commas, such as ghcr.io/acme/*, or any", true, func(glob string) ([]string, error) {
		if _, err := path.Match(glob, ""); err != nil {
			return nil, errForm
		}
		return []string{glob}, nil
	})
}

// readFile reads at most maxFile bytes. Its error says what the system said,
// without the path, which the caller names.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, plain(err)
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, plain(err)
	}
	if len(content) > maxFile {
		return nil, errors.New("it is larger than 1 MiB")
	}
	return content, nil
}

func plain(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}

// readSecret reads what NAME_FILE names; one newline at its end is the editor's.
func readSecret(name string) (string, error) {
	content, err := readFile(name)
	if err != nil {
		return "", err
	}
	content = bytes.TrimSuffix(content, []byte("\n"))
	return string(bytes.TrimSuffix(content, []byte("\r"))), nil
}
