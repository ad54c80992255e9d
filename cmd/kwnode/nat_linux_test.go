package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kitwork/kwnode/capsule"
)

// natWorld is network namespaces: nodes that anybody reaches, and homes, each behind a router that hides it: nobody outside
// has a route to a home.
type natWorld struct {
	public         string
	routers, homes []string
	dir            string
}

// The addresses count as public ones, for AutoNAT and hole punching leave private ones alone. They are the namespaces' own.
const publicIP = "11.77.0.1"

func routerIP(i int) string { return fmt.Sprintf("11.77.0.%d", 250+i) }

func homeIP(i int) string { return fmt.Sprintf("192.168.%d.2", 77+i) }

// newNATWorld builds the namespaces, or skips the test and says why.
func newNATWorld(t *testing.T, homes int) *natWorld {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("network namespaces need the command ip (iproute2), which this machine lacks")
	}
	tag := fmt.Sprintf("kw%d", os.Getpid())
	w := &natWorld{public: tag + "-public", dir: t.TempDir()}
	all := []string{w.public}
	lines := []string{
		"-n PUBLIC link add lan type bridge", "-n PUBLIC addr add " + publicIP + "/24 dev lan", "-n PUBLIC link set lan up",
		"-n PUBLIC link set lo up",
	}
	for i := range homes {
		router, home, port := fmt.Sprintf("%s-router%d", tag, i), fmt.Sprintf("%s-home%d", tag, i), fmt.Sprintf("port%d", i)
		w.routers, w.homes = append(w.routers, router), append(w.homes, home)
		all = append(all, router, home)
		for _, line := range []string{
			"link add outside netns ROUTER type veth peer name PORT netns PUBLIC",
			"-n PUBLIC link set PORT master lan", "-n PUBLIC link set PORT up",
			"link add inside netns ROUTER type veth peer name eth0 netns HOME",
			"-n ROUTER addr add " + routerIP(i) + "/24 dev outside", "-n ROUTER link set outside up",
			"-n ROUTER addr add GATE/24 dev inside", "-n ROUTER link set inside up",
			"-n HOME addr add " + homeIP(i) + "/24 dev eth0", "-n HOME link set eth0 up", "-n HOME link set lo up",
			"-n HOME route add default via GATE",
			"netns exec ROUTER sh -c echo\x001\x00>/proc/sys/net/ipv4/ip_forward",
		} {
			lines = append(lines, strings.NewReplacer("ROUTER", router, "HOME", home, "PORT", port,
				"GATE", strings.TrimSuffix(homeIP(i), "2")+"1").Replace(line))
		}
	}
	for _, ns := range all {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("this machine makes no network namespaces: %v: %s", err, out)
		}
		t.Cleanup(func() {
			if out, err := exec.Command("ip", "netns", "delete", ns).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	for _, line := range lines {
		args := strings.Fields(strings.ReplaceAll(line, "PUBLIC", w.public))
		args[len(args)-1] = strings.ReplaceAll(args[len(args)-1], "\x00", " ")
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Skipf("this machine connects no namespaces: ip %s: %v: %s", line, err, out)
		}
	}
	for _, router := range w.routers {
		if err := masquerade(router); err != nil {
			t.Skipf("this machine translates no addresses: %v", err)
		}
	}
	return w
}

// masquerade has a router's kernel put its own address on what leaves it, and drop what is addressed to itself, as home
// routers do: nft add table ip nat; nft add chain ip nat post { type nat hook postrouting priority 100; }; nft add rule ip nat
// post masquerade; nft add chain ip nat in { type filter hook input priority 0; policy drop; }.
func masquerade(router string) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends in the other namespace
		done <- func() error {
			ns, err := os.Open("/var/run/netns/" + router)
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return nftMasquerade()
		}()
	}()
	return <-done
}

func attr(kind uint16, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(body)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), body...)
	return append(b, make([]byte, -len(b)&3)...)
}

func nested(kind uint16, parts ...[]byte) []byte { return attr(kind|unix.NLA_F_NESTED, parts...) }

func text(s string) []byte { return append([]byte(s), 0) }

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func nftMasquerade() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	var batch []byte
	seq := uint32(0)
	add := func(kind, flags, resource uint16, family byte, attrs ...[]byte) {
		body := append([]byte{family, 0, byte(resource >> 8), byte(resource)}, bytes.Join(attrs, nil)...)
		h := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
		h = binary.NativeEndian.AppendUint16(h, kind)
		h = binary.NativeEndian.AppendUint16(h, flags|unix.NLM_F_REQUEST)
		seq++
		h = binary.NativeEndian.AppendUint32(h, seq)
		h = binary.NativeEndian.AppendUint32(h, 0)
		batch = append(append(batch, h...), body...)
	}
	const nft = unix.NFNL_SUBSYS_NFTABLES
	create := uint16(unix.NLM_F_CREATE | unix.NLM_F_ACK)
	add(unix.NFNL_MSG_BATCH_BEGIN, 0, nft, 0)
	add(nft<<8|unix.NFT_MSG_NEWTABLE, create, 0, unix.AF_INET, attr(unix.NFTA_TABLE_NAME, text("nat")))
	add(nft<<8|unix.NFT_MSG_NEWCHAIN, create, 0, unix.AF_INET,
		attr(unix.NFTA_CHAIN_TABLE, text("nat")), attr(unix.NFTA_CHAIN_NAME, text("post")),
		nested(unix.NFTA_CHAIN_HOOK, attr(unix.NFTA_HOOK_HOOKNUM, be32(4)), attr(unix.NFTA_HOOK_PRIORITY, be32(100))), // postrouting
		attr(unix.NFTA_CHAIN_TYPE, text("nat")))
	add(nft<<8|unix.NFT_MSG_NEWRULE, create|unix.NLM_F_APPEND, 0, unix.AF_INET,
		attr(unix.NFTA_RULE_TABLE, text("nat")), attr(unix.NFTA_RULE_CHAIN, text("post")),
		nested(unix.NFTA_RULE_EXPRESSIONS, nested(unix.NFTA_LIST_ELEM, attr(unix.NFTA_EXPR_NAME, text("masq")), nested(unix.NFTA_EXPR_DATA))))
	add(nft<<8|unix.NFT_MSG_NEWCHAIN, create, 0, unix.AF_INET,
		attr(unix.NFTA_CHAIN_TABLE, text("nat")), attr(unix.NFTA_CHAIN_NAME, text("in")),
		nested(unix.NFTA_CHAIN_HOOK, attr(unix.NFTA_HOOK_HOOKNUM, be32(1)), attr(unix.NFTA_HOOK_PRIORITY, be32(0))), // input
		attr(unix.NFTA_CHAIN_POLICY, be32(0)), attr(unix.NFTA_CHAIN_TYPE, text("filter"))) // drop
	add(unix.NFNL_MSG_BATCH_END, 0, nft, 0)
	if err := unix.Sendto(fd, batch, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	for acks := 0; acks < 4; {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return fmt.Errorf("wait for the kernel's answer: %w", err)
		}
		for b := buf[:n]; len(b) >= unix.NLMSG_HDRLEN+4; {
			size := binary.NativeEndian.Uint32(b)
			if kind := binary.NativeEndian.Uint16(b[4:]); kind == unix.NLMSG_ERROR {
				if e := int32(binary.NativeEndian.Uint32(b[unix.NLMSG_HDRLEN:])); e != 0 {
					return fmt.Errorf("nf_tables: %w", unix.Errno(-e))
				}
				acks++
			}
			b = b[min(len(b), int(size+3)&^3):]
		}
	}
	return nil
}

// command is kwnode in one of the namespaces.
func (w *natWorld) command(ctx context.Context, t *testing.T, ns string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", ns, self}, args...)...)
	cmd.Dir = w.dir
	cmd.Env = append(append(os.Environ(), asProgram+"=1", "KITWORK_ZONES="+filepath.Join(w.dir, "book")), env...)
	return cmd
}

// run ends well, or the test does not.
func (w *natWorld) run(ctx context.Context, t *testing.T, ns string, env []string, args ...string) string {
	t.Helper()
	out, err := w.command(ctx, t, ns, env, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("kwnode %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start starts a node; with ready it waits for its address.
func (w *natWorld) start(ctx context.Context, t *testing.T, ns string, ready bool, args ...string) (addr string) {
	t.Helper()
	cmd := w.command(ctx, t, ns, nil, append([]string{"start", "--until-eof"}, args...)...)
	log := new(bytes.Buffer)
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s\n%s", strings.Join(args, " "), log)
		}
	})
	if !ready {
		return ""
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	return strings.TrimPrefix(strings.TrimSpace(line), "ready ")
}

// TestBehindANAT: a worker and a client that only dial out, behind the kernel's own NAT, serve a zone and use it. Neither
// is ever reached from outside: there is no route.
func TestBehindANAT(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes in namespaces; run without -short")
	}
	w := newNATWorld(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"root", "voter", "gateway", "node", "worker", "me"} {
		w.run(ctx, t, w.public, nil, "keygen", k+".key")
	}
	me, err := capsule.LoadIdentity(filepath.Join(w.dir, "me.key"))
	if err != nil {
		t.Fatal(err)
	}
	w.run(ctx, t, w.public, nil, "zone", "init", "zone.genesis", "--dev", "--root", "root.key", "--voter", "voter.key")
	w.run(ctx, t, w.public, nil, "zone", "grant", "--by", "root.key", "--zone", "zone.genesis", "--to", "worker.key", "--cap", "worker=write", "--out", "worker.grants")
	w.run(ctx, t, w.public, nil, "zone", "grant", "--by", "root.key", "--zone", "zone.genesis", "--to", "me.key", "--cap", "kv/*=read|write", "--out", "me.grants")
	gateway := w.start(ctx, t, w.public, true, "--identity", "gateway.key", "--dir", "gateway", "--listen", "/ip4/"+publicIP+"/tcp/7400")
	voter := w.start(ctx, t, w.public, true, "--identity", "voter.key", "--dir", "voter", "--listen", "/ip4/"+publicIP+"/tcp/7401",
		"--genesis", "zone.genesis", "--vote", "--heartbeat", "250ms", "--peer", gateway, "--operator", me.Key().String())
	admin := []string{"KITWORK_NODE=" + voter, "KITWORK_KEY=" + filepath.Join(w.dir, "me.key"), "KITWORK_GRANTS=" + filepath.Join(w.dir, "me.grants")}
	w.run(ctx, t, w.public, admin, "zone", "credit", "me.key", "1000000000000", "--root", "root.key")
	w.run(ctx, t, w.public, admin, "zone", "namespace", "counter", "me.key", "--quota", "1000000", "--root", "root.key")
	w.run(ctx, t, w.public, admin, "zone", "trust", "home", "zone.genesis")

	// Behind the router: a worker's node that listens nowhere, and a client. Both know the gateway, which is no part of the zone.
	w.start(ctx, t, w.homes[0], false, "--identity", "node.key", "--dir", "worker", "--genesis", "zone.genesis",
		"--worker-key", "worker.key", "--worker-grant", "worker.grants", "--peer", gateway)
	home := []string{"KITWORK_NODE=" + gateway, admin[1], admin[2]}
	for i := 1; i <= 2; i++ {
		cmd := w.command(ctx, t, w.homes[0], home, "capsule", "run", "./examples/counter", "Count", "--input", `{"Name":"visits","By":1}`, "--keys", "kv/counter/*", "--quiet")
		cmd.Dir = root
		said := new(bytes.Buffer)
		cmd.Stderr = said
		out, err := cmd.Output()
		if err != nil || strings.TrimSpace(string(out)) != fmt.Sprint(i) {
			t.Fatalf("capsule %d from behind the NAT: %v: %s\n%s", i, err, out, said)
		}
	}
	peers := w.run(ctx, t, w.public, []string{"KITWORK_NODE=" + voter}, "inspect", "peers", "--identity", "me.key")
	if !strings.Contains(peers, "/ip4/"+routerIP(0)+"/") || strings.Contains(peers, homeIP(0)+"/") {
		t.Fatalf("the voter does not see the worker behind the router's address:\n%s", peers)
	}
}

// TestHolePunch: two nodes, each behind its own router, meet at a relay and then talk to each other directly. Neither router
// lets anything in that its home has not sent for.
func TestHolePunch(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes in namespaces; run without -short")
	}
	w := newNATWorld(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a relayed connection that was not replaced ends after two
	defer cancel()
	for _, k := range []string{"relay", "a", "b", "me"} {
		w.run(ctx, t, w.public, nil, "keygen", k+".key")
	}
	me, err := capsule.LoadIdentity(filepath.Join(w.dir, "me.key"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := capsule.LoadIdentity(filepath.Join(w.dir, "a.key"))
	if err != nil {
		t.Fatal(err)
	}
	operator := me.Key().String()
	relay := w.start(ctx, t, w.public, true, "--identity", "relay.key", "--dir", "relay", "--relay", "--listen", "/ip4/"+publicIP+"/udp/7400/quic-v1")
	// The second node asks for the first one until the relay knows it.
	second := w.start(ctx, t, w.homes[1], true, "--identity", "b.key", "--dir", "b", "--listen", "/ip4/"+homeIP(1)+"/udp/7400/quic-v1",
		"--operator", operator, "--peer", relay, "--peer", relay+"/p2p-circuit/p2p/"+a.Key().PeerID())
	w.start(ctx, t, w.homes[0], true, "--identity", "a.key", "--dir", "a", "--listen", "/ip4/"+homeIP(0)+"/udp/7400/quic-v1", "--peer", relay)
	var peers string
	direct := func() bool {
		peers = w.run(ctx, t, w.homes[1], []string{"KITWORK_NODE=" + second}, "inspect", "peers", "--identity", "me.key")
		return strings.Contains(peers, "/ip4/"+routerIP(0)+"/udp/")
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for !direct() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no direct connection to %s behind %s:\n%s", a.Key(), routerIP(0), peers)
		}
	}
}
