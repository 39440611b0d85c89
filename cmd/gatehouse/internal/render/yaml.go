package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// yaml prints the answer with its members in the answer's order.
func (p *Printer) yaml(answer json.RawMessage) error {
	node, err := yamlNode(answer)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(node), enc.Close()); err != nil {
		return err
	}
	text := b.Bytes()
	if p.Terminal {
		text = escapeYAML(text)
	}
	_, err = p.Out.Write(text)
	return err
}

// yamlText is a string; in double quotes when it has unprintable characters,
// which YAML can escape there, or looks like another type to YAML 1.1.
func yamlText(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }) || old(s) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// old reports whether YAML 1.1 takes s for a truth value or a number to base 60;
// many readers still do.
func old(s string) bool {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off":
		return true
	}
	return strings.Contains(s, ":") && strings.Trim(s, "0123456789:._+-") == ""
}

func yamlNode(raw json.RawMessage) (*yaml.Node, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	}
	switch raw[0] {
	case '{':
		return yamlObject(raw)
	case '[':
		return yamlList(raw)
	case '"':
		return yamlText(Text(raw)), nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: string(raw)}, nil // null, true, 12: YAML reads them alike
}

func yamlObject(raw json.RawMessage) (*yaml.Node, error) {
	o, err := ParseObject(raw)
	if err != nil {
		return nil, err
	}
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, m := range o {
		value, err := yamlNode(m.Value)
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, yamlText(m.Name), value)
	}
	return node, nil
}

func yamlList(raw json.RawMessage) (*yaml.Node, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	node := &yaml.Node{Kind: yaml.SequenceNode}
	for _, item := range list {
		value, err := yamlNode(item)
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, value)
	}
	return node, nil
}
