package control

// Declared are all operations as the list declares them, for those who ask for
// them elsewhere, such as the command line: names, paths, arguments, schemas.
// They belong to no installation: running one is a mistake.
func Declared() []*Operation { return new(Control).list() }
