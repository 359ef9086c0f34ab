package main

import (
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

func TestRender(t *testing.T) {
	address, block := netip.MustParseAddr, netip.MustParsePrefix
	friends := Peers{Pods: []netip.Addr{address("10.0.1.2"), address("10.0.2.3")}}
	isolations := []Isolation{
		{
			Pod:     "shop/web",
			Address: address("10.0.1.1"),
			Ingress: Direction{true, []Allow{
				{friends, []Port{{core.ProtocolTCP, 80, 80}, {core.ProtocolSCTP, 8000, 9000}}},
				{Peers{Block: block("10.0.0.0/8"), Except: []netip.Prefix{block("10.1.0.0/16"), block("10.1.2.0/24")}}, nil},
				{Peers{Block: block("fd00::/8")}, nil},
				{Peers{Everybody: true}, []Port{{core.ProtocolUDP, 53, 53}}},
			}},
		},
		{
			Pod:     "shop/friend",
			Address: address("10.0.1.2"),
			Ingress: Direction{true, []Allow{{friends, nil}}},
			Egress:  Direction{true, []Allow{{Peers{Everybody: true}, nil}}},
		},
	}
	want := `table inet berth_policy
delete table inet berth_policy
table inet berth_policy {
	set peers1 { type ipv4_addr; elements = { 10.0.1.2, 10.0.2.3 } }
	chain egress_10.0.1.2 {
		# shop/friend; nothing stops a pod from reaching itself
		ip daddr 10.0.1.2 accept
		accept
		drop
	}
	chain egress {
		type filter hook forward priority -11; policy accept;
		ct state established,related accept
		ip saddr vmap { 10.0.1.2 : goto egress_10.0.1.2 }
	}
	chain ingress_10.0.1.1 {
		# shop/web; nothing stops a pod from reaching itself
		ip saddr 10.0.1.1 accept
		ip saddr @peers1 meta l4proto tcp th dport 80 accept
		ip saddr @peers1 meta l4proto sctp th dport 8000-9000 accept
		ip saddr 10.0.0.0/8 ip saddr != 10.1.0.0/16 ip saddr != 10.1.2.0/24 accept
		meta l4proto udp th dport 53 accept
		drop
	}
	chain ingress_10.0.1.2 {
		# shop/friend; nothing stops a pod from reaching itself
		ip saddr 10.0.1.2 accept
		ip saddr @peers1 accept
		drop
	}
	chain ingress {
		type filter hook forward priority -10; policy accept;
		ct state established,related accept
		ip daddr vmap { 10.0.1.1 : goto ingress_10.0.1.1, 10.0.1.2 : goto ingress_10.0.1.2 }
	}
}
`
	rules := Render(isolations)
	if rules != want {
		t.Errorf("got\n%s", rules)
	}
	check(t, rules)
}

func TestNoRules(t *testing.T) {
	rules := Render(nil)
	if want := "table inet berth_policy\ndelete table inet berth_policy\ntable inet berth_policy {\n}\n"; rules != want {
		t.Errorf("got\n%s", rules)
	}
	check(t, rules)
}

// check has nft read the rules, in a network that is thrown away.
func check(t *testing.T, rules string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may ask nft")
	}
	nft := exec.Command("unshare", "--net", "nft", "--file", "-")
	nft.Stdin = strings.NewReader(rules)
	if said, err := nft.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
}
