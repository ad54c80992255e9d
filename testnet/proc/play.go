package proc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// PlayOptions say how a script is played.
type PlayOptions struct {
	Binary string    // of kwnode
	Dir    string    // in which its commands run
	Env    []string  // of its commands, beside this process's
	Out    io.Writer // gets the lines as they are played, and what the commands print
}

// Play runs a script: a text of commands, one a line, with files behind it in the txtar format. A line is
//
//	# TEXT                  a comment, shown as it is
//	net ARGS                kwnode testnet up ARGS, until the script ends; what clients need is in the environment then
//	kwnode ARGS             this program; ! before it wants it to fail
//	until REGEXP kwnode …   the same again and again, until what it prints matches; with ! before kwnode, until it fails
//	                        with errors that match
//	stdout REGEXP           what the last command printed matches; ! before it wants it not to
//	stderr REGEXP           the same of its errors
//
// $NAME stands for a variable of the environment, $WORK for a folder of the script's own with its files in it, $OUT for what
// the last command printed. 'Quotes' keep words together and $ as it is.
func Play(ctx context.Context, name string, text []byte, o PlayOptions) (err error) {
	p := &player{opt: o, env: map[string]string{}}
	var remove func() error
	if p.env["WORK"], remove, err = Scratch("kwnode-play-"); err != nil {
		return err
	}
	defer func() {
		p.end()
		err = errors.Join(err, remove())
	}()
	lines, err := p.unpack(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for i, line := range lines {
		fmt.Fprintln(o.Out, line)
		if err := p.play(ctx, line); err != nil {
			return fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
	}
	return nil
}

// unpack writes the files of a script, each behind a line "-- NAME --", and returns the lines before them.
func (p *player) unpack(text string) (script []string, err error) {
	files, to := map[string]string{}, ""
	for line := range strings.Lines(text) {
		name, begins := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "-- ")
		name, ends := strings.CutSuffix(name, " --")
		if begins && ends {
			if to = strings.TrimSpace(name); !filepath.IsLocal(to) {
				return nil, fmt.Errorf("file %q leads out of the script's folder", to)
			}
			files[to] = ""
		} else if to != "" {
			files[to] += line
		} else {
			script = append(script, strings.TrimRight(line, "\r\n"))
		}
	}
	for name, content := range files {
		at := filepath.Join(p.env["WORK"], name)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(at, []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	return script, nil
}

// player is one script that is played.
type player struct {
	opt            PlayOptions
	env            map[string]string
	stdout, stderr string // of the last command
	net            *exec.Cmd
	pipe           io.Closer // ends the network when it is closed, by us or by our death
}

func (p *player) play(ctx context.Context, line string) error {
	words, err := p.words(line)
	if err != nil || len(words) == 0 {
		return err
	}
	not := words[0] == "!"
	if not {
		if words = words[1:]; len(words) == 0 {
			return errors.New("! wants a command behind it")
		}
	}
	switch verb, args := words[0], words[1:]; verb {
	case "net":
		if not || p.net != nil {
			return errors.New("a script starts one network, and wants it to work")
		}
		return p.up(ctx, args)
	case "kwnode":
		switch err := p.kwnode(ctx, args); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && not:
			return errors.New("it went well, and should not have")
		case err != nil && !not:
			return fmt.Errorf("kwnode %s: %w", args[0], err)
		}
		p.show()
		return nil
	case "until":
		fails := len(args) > 1 && args[1] == "!"
		if fails {
			args = slices.Delete(args, 1, 2)
		}
		if not || len(args) < 3 || args[1] != "kwnode" {
			return errors.New("want until REGEXP kwnode ARGS, or until REGEXP ! kwnode ARGS")
		}
		return p.until(ctx, args[0], args[2:], fails)
	case "stdout", "stderr":
		text := p.stdout
		if verb == "stderr" {
			text = p.stderr
		}
		return p.match(args, text, not)
	}
	return fmt.Errorf("unknown command %q; there are net, kwnode, until, stdout and stderr", words[0])
}

// words splits a line as a shell does, as far as a script needs it.
func (p *player) words(line string) (words []string, err error) {
	var w strings.Builder
	in, quoted := false, false
	for line = strings.TrimSpace(line); line != ""; {
		c := line[0]
		line = line[1:]
		switch {
		case c == '\'':
			in, quoted = true, !quoted
		case quoted:
			w.WriteByte(c)
		case c == '#' && !in:
			line = ""
		case c == ' ' || c == '\t':
			if in {
				words, in = append(words, w.String()), false
				w.Reset()
			}
		case c == '$':
			n := 0
			for n < len(line) && (line[n] == '_' || line[n] >= 'A' && line[n] <= 'Z' || line[n] >= '0' && line[n] <= '9') {
				n++
			}
			v, ok := p.env[line[:n]]
			if !ok {
				if v, ok = os.LookupEnv(line[:n]); !ok {
					return nil, fmt.Errorf("$%s is not set", line[:n])
				}
			}
			w.WriteString(v)
			line, in = line[n:], true
		default:
			w.WriteByte(c)
			in = true
		}
	}
	if quoted {
		return nil, errors.New("a quote has no end")
	}
	if in {
		words = append(words, w.String())
	}
	return words, nil
}

func (p *player) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.opt.Binary, args...)
	cmd.Dir = p.opt.Dir
	cmd.Env = append(os.Environ(), p.opt.Env...)
	for k, v := range p.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

func (p *player) kwnode(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("kwnode wants arguments")
	}
	var stdout, stderr bytes.Buffer
	cmd := p.command(ctx, args)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	p.stdout, p.stderr = stdout.String(), stderr.String()
	p.env["OUT"] = strings.TrimSpace(p.stdout)
	if err != nil {
		err = fmt.Errorf("%w\n%s%s", err, p.stdout, p.stderr)
	}
	return err
}

// show prints what the last command did, set off from the script.
func (p *player) show() {
	for _, text := range []string{p.stdout, p.stderr} {
		for l := range strings.Lines(text) {
			fmt.Fprint(p.opt.Out, "    ", strings.TrimRight(l, "\n"), "\n")
		}
	}
}

const (
	untilEvery = 50 * time.Millisecond
	untilTime  = time.Minute
)

func (p *player) until(ctx context.Context, pattern string, args []string, fails bool) error {
	re, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, untilTime)
	defer cancel()
	t := time.NewTicker(untilEvery)
	defer t.Stop()
	for {
		err := p.kwnode(ctx, args)
		if fails && err != nil && re.MatchString(p.stderr) || !fails && err == nil && re.MatchString(p.stdout) {
			p.show()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%q did not come; last: %s%s (%v)", pattern, p.stdout, p.stderr, err)
		case <-t.C:
		}
	}
}

func (p *player) match(args []string, text string, not bool) error {
	if len(args) != 1 {
		return errors.New("want one regular expression")
	}
	re, err := regexp.Compile("(?m)" + args[0])
	if err != nil {
		return err
	}
	if re.MatchString(text) == not {
		return fmt.Errorf("the last command printed\n%s", text)
	}
	return nil
}

// up starts the network and takes over what it says clients need.
func (p *player) up(ctx context.Context, args []string) error {
	cmd := p.command(context.WithoutCancel(ctx), append([]string{"testnet", "up", "--until-eof", "--dir", filepath.Join(p.env["WORK"], "net")}, args...))
	cmd.SysProcAttr = ownGroup()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.net, p.pipe = cmd, stdin
	defer context.AfterFunc(ctx, func() { stdin.Close() })()
	said := make(chan string, 1)
	go func() {
		var log strings.Builder
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(&log, "    "+lines.Text())
		}
		said <- log.String()
	}()
	last := false
	for lines := bufio.NewScanner(stdout); !last && lines.Scan(); {
		k, v, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		if ok {
			p.env[k] = strings.Trim(v, "'")
			last = k == "KITWORK_GRANTS"
		}
	}
	if !last {
		return fmt.Errorf("the network does not work:\n%s", <-said)
	}
	return nil
}

// end takes the network down.
func (p *player) end() {
	if p.net == nil {
		return
	}
	p.pipe.Close()
	_ = p.net.Wait()
}
