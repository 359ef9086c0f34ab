package main

import "testing"

func TestANameSaysHowAnImageBehaves(t *testing.T) {
	for _, c := range []struct{ repository, tag, word, argument string }{
		{"shop/web", "1.0.0", "serve", ""},
		{"shop/web", "crash", "crash", ""},
		{"shop/web", "crash-after-30s", "crash-after", "30s"},
		{"sim.berth.dev/slow-start", "20s", "slow-start", "20s"},
		{"team/exit", "3", "exit", "3"},
		{"shop/web", "missing", "missing", ""},
		{"shop/missing", "1", "missing", "1"},
		{"library/busybox", "1", "shell", ""},
		{"shop/web", "1.0-crash", "serve", ""},
	} {
		word, argument := behaviour(c.repository, c.tag)
		if word != c.word || argument != c.argument {
			t.Errorf("%s:%s is %s %q, not %s %q", c.repository, c.tag, word, argument, c.word, c.argument)
		}
	}
}
