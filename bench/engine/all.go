package engine

// more holds the engines that need cgo.
var more []func() Engine

// Rivals returns every engine but ours, the ones that meter and the ones that
// don't.
func Rivals() []Engine {
	all := []Engine{WazeroInterpreter(), WazeroCompiler()}
	for _, f := range more {
		all = append(all, f())
	}
	return all
}
