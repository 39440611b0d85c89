package redisstore

import (
	"context"

	"gatehouse/internal/store"
)

var _ store.Liner = (*Store)(nil)

// keyRecent is where people with redis-cli find the latest log entries.
const keyRecent = "log:recent" // sorted set by ms, 1000

// ShowLines adds lines to the latest thousand.
func (s *Store) ShowLines(ctx context.Context, lines []store.Line) error {
	if len(lines) == 0 {
		return nil
	}
	words := []any{s.opts.LogLife["request"].Milliseconds()}
	for _, l := range lines {
		words = append(words, l.At.UnixMilli(), l.Text)
	}
	_, err := s.run(ctx, scriptLines, []string{s.key(keyID), s.key(keyRecent)}, words...)
	return err
}

// ForgetLines takes all lines away.
func (s *Store) ForgetLines(ctx context.Context) error {
	_, err := s.run(ctx, scriptLines, []string{s.key(keyID), s.key(keyRecent)}, 0)
	return err
}
