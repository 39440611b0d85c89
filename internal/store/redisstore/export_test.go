package redisstore

// Mirrored is how many items a push would write.
func (s *Store) Mirrored() int {
	items, whole := s.mirror.all()
	if !whole {
		return -1
	}
	return len(items)
}
