package proc

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

// TestLook: a network whose process was killed is not said to run, nor is one whose port somebody else has got since; one
// whose process answers is.
func TestLook(t *testing.T) {
	holder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "token" {
			http.Error(w, "who are you?", http.StatusForbidden)
		}
	}))
	defer holder.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	for _, c := range []struct {
		name, control, token string
		gone                 bool
	}{
		{"held", holder.Listener.Addr().String(), "token", false},
		{"a stranger's port", holder.Listener.Addr().String(), "another", true},
		{"nobody listens", nobody, "token", true},
		{"ended in order", "", "", false},
	} {
		dir := t.TempDir()
		was := State{Nodes: []NodeState{{Name: "a", PID: os.Getpid(), Status: "running", Cut: true}}, Control: c.control, Token: c.token}
		if err := was.save(dir); err != nil {
			t.Fatal(err)
		}
		st, gone, err := Look(dir)
		if err != nil || gone != c.gone {
			t.Errorf("%s: gone %v, %v", c.name, gone, err)
			continue
		}
		if s := st.Nodes[0]; gone && (s.Status != "stopped" || s.PID != 0 || s.Cut || st.Control != "") {
			t.Errorf("%s: %+v", c.name, st)
		}
		if settled, err := Settle(dir); err != nil || settled != c.gone {
			t.Errorf("%s: settled %v, %v", c.name, settled, err)
		}
		if st, err := ReadState(dir); err != nil || (st.Nodes[0].Status == "stopped") != c.gone {
			t.Errorf("%s: the folder says %+v, %v", c.name, st, err)
		}
	}
}
