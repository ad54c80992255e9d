//go:build plant_forget_mark

package plant

// ForgetMark does not raise the mark below which hops of a handover are decided.
const ForgetMark = true
