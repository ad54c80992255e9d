package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestCommandsInPages looks up every kwnode command that a page or a help text shows: the command is there, and so are its
// flags.
func TestCommandsInPages(t *testing.T) {
	root := filepath.Join("..", "..")
	pages := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "*/DESIGN.md", "*/*/DESIGN.md"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			pages[strings.TrimPrefix(name, root)] = string(b)
		}
	}
	var examples func(*cobra.Command)
	examples = func(c *cobra.Command) {
		pages["the examples of "+c.CommandPath()] = c.Example
		for _, sub := range c.Commands() {
			examples(sub)
		}
	}
	examples(newRootCmd())
	shown := 0
	for page, text := range pages {
		for _, command := range shownCommands(text) {
			shown++
			if fault := commandFault(command); fault != "" {
				t.Errorf("%s shows %q: %s", page, command, fault)
			}
		}
	}
	if shown < 100 {
		t.Errorf("only %d commands were found", shown)
	}
}

// TestCommandFaultsAreFound plants one fault of each kind.
func TestCommandFaultsAreFound(t *testing.T) {
	text := "Type `kwnode zone status --none`, or\n\n    ./kwnode nothing x\n    . env && go run ./cmd/kwnode zone put a b \\\n        --neither\n" +
		"    ./kwnode inspect peers|nobody\n    ./kwnode zone get --json # --comment\n    ./kwnode demo    see it\nIn prose kwnode none is a name.\n"
	want := []string{"--none", "nothing", "--neither", "nobody", "", ""}
	commands := shownCommands(text)
	if len(commands) != len(want) {
		t.Fatalf("found %q", commands)
	}
	for i, c := range commands {
		if fault := commandFault(c); (fault == "") != (want[i] == "") || !strings.Contains(fault, want[i]) {
			t.Errorf("%q: %q, want %q in it", c, fault, want[i])
		}
	}
}

// shownCommand is kwnode with arguments at the start of a code span or of an indented line, or behind what a shell lets
// stand before a command.
var shownCommand = regexp.MustCompile("(?m)(?:`|^ +|&& |until |\\$\\()(?:\\./kwnode|kwnode|go run \\./cmd/kwnode) ([^`\n]*)")

var continued = regexp.MustCompile(`\s*\\\n\s*`)

func shownCommands(text string) (found []string) {
	text = continued.ReplaceAllString(text, " ")
	for _, m := range shownCommand.FindAllStringSubmatch(text, -1) {
		args, _, _ := strings.Cut(m[1], "  ") // and then what it is for
		args, _, _ = strings.Cut(args, " # ")
		found = append(found, args)
	}
	return found
}

// commandFault says what in a command's arguments does not exist, where a|b stands for two commands. What follows -- or an
// operator of the shell is not kwnode's.
func commandFault(command string) string {
	words := strings.Fields(command)
	at := newRootCmd()
	for len(words) > 0 && at.HasSubCommands() && !strings.HasPrefix(words[0], "-") {
		var next *cobra.Command
		for _, name := range strings.Split(words[0], "|") {
			i := slices.IndexFunc(at.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
			if i < 0 {
				return "there is no command " + name
			}
			next = at.Commands()[i]
		}
		at, words = next, words[1:]
	}
	at.InitDefaultHelpFlag()
	for _, w := range words {
		if w == "--" || w == "|" || w == "&&" || w == "&" || w == ";" || w == ">" {
			break
		}
		name, ok := strings.CutPrefix(strings.Trim(w, "[],.;:)"), "--")
		name, _, _ = strings.Cut(name, "=")
		if ok && at.Flags().Lookup(name) == nil && at.InheritedFlags().Lookup(name) == nil {
			return "there is no flag --" + name
		}
	}
	return ""
}
