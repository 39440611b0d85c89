package journal

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of what an entry may hold, so that any of them fits a block.
const (
	maxLine    = 8 << 10   // bytes of a field
	maxBody    = 256 << 10 // bytes of a captured body, or of before and after
	maxHeaders = 128
)

// sanitize makes e fit to be kept and shown: credentials masked, control
// characters escaped, lengths bounded.
func sanitize(e *Entry) {
	for _, c := range textColumns {
		switch c.id {
		case colKind, colStatus, colScopes, colRequestHeaders, colResponseHeaders:
			continue
		}
		if s := c.get(e); s != "" {
			if clean := sanitizeText(c.id, s); clean != s {
				c.set(e, clean)
			}
		}
	}
	if e.Kind == "" {
		e.Kind = Request
	}
	e.Scopes = sanitizeScopes(e.Scopes)
	e.RequestHeaders = sanitizeHeaders(e.RequestHeaders)
	e.ResponseHeaders = sanitizeHeaders(e.ResponseHeaders)
}

// sanitizeScopes makes a new list where something has to change: the one that
// came may be the live one of a principal, which the gate reads.
func sanitizeScopes(scopes []string) []string {
	for i, s := range scopes {
		clean := strings.ReplaceAll(line(s), " ", "_")
		if clean == s {
			continue
		}
		scopes = slices.Clone(scopes)
		scopes[i] = clean
	}
	return scopes
}

func sanitizeText(id columnID, s string) string {
	switch id {
	case colQuery:
		return Printable(cut(MaskQuery(s), maxLine))
	case colReferer:
		return Printable(cut(MaskURL(s), maxLine))
	case colRequestBody, colResponseBody, colBefore, colAfter:
		return lines(cut(MaskText(s), maxBody))
	}
	return line(s)
}

func line(s string) string { return Printable(cut(MaskText(s), maxLine)) }

// lines is s with control characters escaped, but for line ends and tabs.
func lines(s string) string {
	if printable(s) {
		return s
	}
	parts := strings.Split(s, "\n")
	for i, part := range parts {
		cells := strings.Split(strings.TrimSuffix(part, "\r"), "\t")
		for k, cell := range cells {
			cells[k] = Printable(cell)
		}
		parts[i] = strings.Join(cells, "\t")
	}
	return strings.Join(parts, "\n")
}

func sanitizeHeaders(h map[string]string) map[string]string {
	if len(h) == 0 {
		return nil
	}
	clean := make(map[string]string, min(len(h), maxHeaders))
	for name, value := range h {
		if len(clean) == maxHeaders {
			break
		}
		clean[line(name)] = Printable(cut(MaskHeader(name, value), maxLine))
	}
	return clean
}

// cut is s without what is beyond limit bytes, and "…" in its place.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}
