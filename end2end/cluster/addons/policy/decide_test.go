package main

import (
	"net/netip"
	"slices"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const node = "node1"

// pods of the tests: shop/web serves http on 8080 and dns on UDP 5353, other/web serves http on 9090.
func testWorld(t *testing.T, policies ...string) World {
	t.Helper()
	pod := func(namespace, name, address, node string, ports ...core.ContainerPort) *core.Pod {
		return &core.Pod{
			ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
			Spec:       core.PodSpec{NodeName: node, Containers: []core.Container{{Ports: ports}}},
			Status:     core.PodStatus{Phase: core.PodRunning, PodIPs: []core.PodIP{{IP: address}}},
		}
	}
	namespace := func(name string) *core.Namespace {
		return &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{"team": name}}}
	}
	port := func(name string, number int32, protocol core.Protocol) core.ContainerPort {
		return core.ContainerPort{Name: name, ContainerPort: number, Protocol: protocol}
	}
	ended := pod("shop", "ended", "10.0.1.9", node)
	ended.Status.Phase = core.PodSucceeded
	ended.Labels["app"] = "friend"
	hosted := pod("shop", "hosted", "172.31.0.11", node)
	hosted.Spec.HostNetwork = true
	world := World{
		Pods: []*core.Pod{
			pod("shop", "web", "10.0.1.1", node, port("http", 8080, ""), port("dns", 5353, core.ProtocolUDP)),
			pod("shop", "friend", "10.0.1.2", node),
			pod("shop", "far", "10.0.2.1", "node2"),
			pod("other", "web", "10.0.2.2", "node2", port("http", 9090, core.ProtocolTCP)),
			pod("other", "friend", "10.0.2.3", "node2"),
			pod("other", "starting", "", node),
			ended, hosted,
		},
		Namespaces: []*core.Namespace{namespace("shop"), namespace("other")},
	}
	for _, text := range policies {
		policy := &networking.NetworkPolicy{ObjectMeta: meta.ObjectMeta{Namespace: "shop", Name: "p"}}
		if err := yaml.UnmarshalStrict([]byte(text), &policy.Spec); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		world.Policies = append(world.Policies, policy)
	}
	return world
}

// packet begins a connection.
type packet struct {
	from, to string
	protocol core.Protocol
	port     uint16
}

func (a Allow) passes(peer netip.Addr, p packet) bool {
	in := func(prefix netip.Prefix) bool { return prefix.Contains(peer) }
	known := a.Peers.Everybody || slices.Contains(a.Peers.Pods, peer) ||
		a.Peers.Block.IsValid() && in(a.Peers.Block) && !slices.ContainsFunc(a.Peers.Except, in)
	return known && (len(a.Ports) == 0 || slices.ContainsFunc(a.Ports, func(it Port) bool {
		return it.Protocol == p.protocol && it.From <= p.port && p.port <= it.To
	}))
}

func (d Direction) passes(peer netip.Addr, p packet) bool {
	return !d.Isolated || slices.ContainsFunc(d.Allows, func(it Allow) bool { return it.passes(peer, p) })
}

// passes says whether node1 lets it through.
func passes(isolations []Isolation, p packet) bool {
	from, to := netip.MustParseAddr(p.from), netip.MustParseAddr(p.to)
	for _, it := range isolations {
		if it.Address == from && !it.Egress.passes(to, p) || it.Address == to && !it.Ingress.passes(from, p) {
			return false
		}
	}
	return true
}

func TestWhatPoliciesMean(t *testing.T) {
	const web, friend, far, otherWeb, otherFriend = "10.0.1.1", "10.0.1.2", "10.0.2.1", "10.0.2.2", "10.0.2.3"
	tcp := func(from, to string, port uint16) packet { return packet{from, to, core.ProtocolTCP, port} }
	udp := func(from, to string, port uint16) packet { return packet{from, to, core.ProtocolUDP, port} }
	const toWeb = "podSelector: {matchLabels: {app: web}}\n"
	for _, test := range []struct {
		name     string
		policies []string
		allowed  []packet
		denied   []packet
	}{
		{"no policy", nil, []packet{tcp(far, web, 80), tcp(web, far, 80), udp(far, web, 80)}, nil},
		{
			"a selector that is empty means all pods; no types mean ingress",
			[]string{"podSelector: {}"},
			[]packet{tcp(web, far, 80), tcp(friend, otherWeb, 80)},
			[]packet{tcp(far, web, 80), tcp(friend, web, 80), tcp(web, friend, 80), udp(far, web, 53)},
		},
		{
			"only the pods that are selected are isolated",
			[]string{toWeb + "ingress: []"},
			[]packet{tcp(web, friend, 80)},
			[]packet{tcp(friend, web, 80)},
		},
		{
			"a policy with egress and no types is about both",
			[]string{toWeb + "egress: [{}]"},
			[]packet{tcp(web, far, 80)},
			[]packet{tcp(far, web, 80)},
		},
		{
			"egress alone",
			[]string{toWeb + "policyTypes: [Egress]"},
			[]packet{tcp(far, web, 80)},
			[]packet{tcp(web, far, 80), tcp(web, "1.2.3.4", 80), tcp(web, friend, 80)},
		},
		{
			"an empty rule allows everything, from nowhere in the cluster, too",
			[]string{toWeb + "ingress: [{}]"},
			[]packet{tcp(far, web, 1), udp("1.2.3.4", web, 65535)},
			nil,
		},
		{
			"pods are meant in the policy's own namespace",
			[]string{toWeb + "ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}]}]"},
			[]packet{tcp(friend, web, 80)},
			[]packet{tcp(far, web, 80), tcp(otherFriend, web, 80), tcp("10.0.1.9", web, 80)},
		},
		{
			"a namespace stands for all its pods",
			[]string{toWeb + "ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}]}]"},
			[]packet{tcp(otherFriend, web, 80), tcp(otherWeb, web, 80)},
			[]packet{tcp(friend, web, 80), tcp("1.2.3.4", web, 80)},
		},
		{
			"selectors in one peer both have to be true",
			[]string{toWeb + "ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}, podSelector: {matchLabels: {app: friend}}}]}]"},
			[]packet{tcp(otherFriend, web, 80)},
			[]packet{tcp(otherWeb, web, 80), tcp(friend, web, 80)},
		},
		{
			"peers in a list add up",
			[]string{toWeb + "ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}, {podSelector: {matchLabels: {app: friend}}}]}]"},
			[]packet{tcp(otherFriend, web, 80), tcp(otherWeb, web, 80), tcp(friend, web, 80)},
			[]packet{tcp(far, web, 80)},
		},
		{
			"selectors by expression",
			[]string{toWeb + "ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [friend, x]}]}}]}]"},
			[]packet{tcp(friend, web, 80)},
			[]packet{tcp(far, web, 80)},
		},
		{
			"a peer that nothing is allows nothing",
			[]string{toWeb + "ingress: [{from: [{podSelector: {matchLabels: {app: none}}}]}]"},
			nil,
			[]packet{tcp(friend, web, 80)},
		},
		{
			"a block without its exceptions",
			[]string{toWeb + "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/16, except: [10.0.2.2/31]}}]}]"},
			[]packet{tcp(friend, web, 80), tcp(far, web, 80)},
			[]packet{tcp(otherWeb, web, 80), tcp(otherFriend, web, 80), tcp("10.1.0.1", web, 80)},
		},
		{
			"what one block excepts another may allow",
			[]string{toWeb + "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/16, except: [10.0.2.0/24]}}, {ipBlock: {cidr: 10.0.2.1/32}}]}]"},
			[]packet{tcp(far, web, 80)},
			[]packet{tcp(otherWeb, web, 80)},
		},
		{
			"a port is of TCP unless it says otherwise",
			[]string{toWeb + "ingress: [{ports: [{port: 8080}]}]"},
			[]packet{tcp(far, web, 8080)},
			[]packet{udp(far, web, 8080), tcp(far, web, 8081)},
		},
		{
			"a protocol without a port",
			[]string{toWeb + "ingress: [{ports: [{protocol: UDP}]}]"},
			[]packet{udp(far, web, 1), udp(far, web, 65535)},
			[]packet{tcp(far, web, 8080)},
		},
		{
			"a range of ports",
			[]string{toWeb + "ingress: [{ports: [{port: 8000, endPort: 8080}]}]"},
			[]packet{tcp(far, web, 8000), tcp(far, web, 8080)},
			[]packet{tcp(far, web, 7999), tcp(far, web, 8081)},
		},
		{
			"a name is the receiver's port",
			[]string{toWeb + "ingress: [{ports: [{port: http}]}]"},
			[]packet{tcp(far, web, 8080)},
			[]packet{tcp(far, web, 80), tcp(far, web, 9090)},
		},
		{
			"a name is one of its own protocol",
			[]string{toWeb + "ingress: [{ports: [{port: dns, protocol: UDP}]}]", toWeb + "ingress: [{ports: [{port: dns}]}]"},
			[]packet{udp(far, web, 5353)},
			[]packet{tcp(far, web, 5353)},
		},
		{
			"a name that the pod has not allows nothing",
			[]string{toWeb + "ingress: [{ports: [{port: metrics}]}]"},
			nil,
			[]packet{tcp(far, web, 8080), tcp(far, web, 0)},
		},
		{
			"ports and peers both have to be true",
			[]string{toWeb + "ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}], ports: [{port: 8080}]}]"},
			[]packet{tcp(friend, web, 8080)},
			[]packet{tcp(far, web, 8080), tcp(friend, web, 80)},
		},
		{
			"policies add up",
			[]string{"podSelector: {}", toWeb + "ingress: [{ports: [{port: 1}]}]", toWeb + "ingress: [{from: [{podSelector: {matchLabels: {app: far}}}]}]"},
			[]packet{tcp(friend, web, 1), tcp(far, web, 2)},
			[]packet{tcp(friend, web, 2), tcp(far, friend, 1)},
		},
		{
			"both sides have to allow",
			[]string{toWeb + "ingress: [{}]", "{podSelector: {matchLabels: {app: friend}}, policyTypes: [Egress]}"},
			[]packet{tcp(far, web, 80)},
			[]packet{tcp(friend, web, 80)},
		},
		{
			"a name in egress is each receiver's own port",
			[]string{"{podSelector: {matchLabels: {app: friend}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: http}, {port: 53, protocol: UDP}]}]}"},
			[]packet{tcp(friend, web, 8080), tcp(friend, otherWeb, 9090), udp(friend, far, 53)},
			[]packet{tcp(friend, web, 9090), tcp(friend, otherWeb, 8080), tcp(friend, far, 8080), tcp(friend, far, 53)},
		},
		{
			"a name in egress to everybody means pods that have it",
			[]string{"{podSelector: {matchLabels: {app: friend}}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}"},
			[]packet{tcp(friend, web, 8080), tcp(friend, otherWeb, 9090)},
			[]packet{tcp(friend, "1.2.3.4", 8080), tcp(friend, far, 8080)},
		},
		{
			"a name in egress to a block means nothing",
			[]string{"{podSelector: {matchLabels: {app: friend}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: http}]}]}"},
			nil,
			[]packet{tcp(friend, web, 8080), tcp(friend, "1.2.3.4", 8080)},
		},
		{
			"pods of other nodes are theirs to isolate",
			[]string{"podSelector: {matchLabels: {app: far}}"},
			[]packet{tcp(friend, far, 80)},
			nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			isolations, err := Decide(node, testWorld(t, test.policies...))
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range test.allowed {
				if !passes(isolations, p) {
					t.Errorf("%v is denied", p)
				}
			}
			for _, p := range test.denied {
				if passes(isolations, p) {
					t.Errorf("%v is allowed", p)
				}
			}
		})
	}
}

func TestPoliciesThatCannotBeRead(t *testing.T) {
	for _, spec := range []string{
		"podSelector: {matchExpressions: [{key: a, operator: Like}]}",
		"{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0}}]}]}",
		"{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [x]}}]}]}",
	} {
		if isolations, err := Decide(node, testWorld(t, spec)); err == nil {
			t.Errorf("%s: %v", spec, isolations)
		}
	}
}
