package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Isolation is what the policies say of one pod.
type Isolation struct {
	Pod             string // namespace/name
	Address         netip.Addr
	Ingress, Egress Direction
}

// Direction is what a pod may receive, or send.
type Direction struct {
	Isolated bool    // Only what is allowed passes.
	Allows   []Allow // Each adds to the others.
}

// Allow lets peers through on ports.
type Allow struct {
	Peers Peers
	Ports []Port // None: every port of every protocol.
}

// Peers are everybody, or some pods, or a block of addresses.
type Peers struct {
	Everybody bool
	Pods      []netip.Addr
	Block     netip.Prefix
	Except    []netip.Prefix
}

// Port is a range of ports of a protocol.
type Port struct {
	Protocol core.Protocol
	From, To uint16
}

// World is what the policies are about.
type World struct {
	Policies   []*networking.NetworkPolicy
	Pods       []*core.Pod
	Namespaces []*core.Namespace
}

// Decide says what the policies mean for the pods of a node: those that some policy isolates, in the order of their addresses.
func Decide(node string, world World) ([]Isolation, error) {
	known := index(world)
	isolations := map[netip.Addr]*Isolation{}
	for _, policy := range world.Policies {
		selected, err := known.selected(policy.Namespace, &policy.Spec.PodSelector)
		if err != nil {
			return nil, fmt.Errorf("%s/%s: %w", policy.Namespace, policy.Name, err)
		}
		ingress, egress, err := known.rules(policy)
		if err != nil {
			return nil, fmt.Errorf("%s/%s: %w", policy.Namespace, policy.Name, err)
		}
		for _, pod := range selected {
			if pod.Spec.NodeName != node {
				continue
			}
			it := isolations[pod.address]
			if it == nil {
				it = &Isolation{Pod: pod.Namespace + "/" + pod.Name, Address: pod.address}
				isolations[pod.address] = it
			}
			if isolates(policy, networking.PolicyTypeIngress) {
				it.Ingress.Isolated = true
				for _, rule := range ingress {
					it.Ingress.Allows = append(it.Ingress.Allows, rule.received(pod)...)
				}
			}
			if isolates(policy, networking.PolicyTypeEgress) {
				it.Egress.Isolated = true
				for _, rule := range egress {
					it.Egress.Allows = append(it.Egress.Allows, known.sent(rule)...)
				}
			}
		}
	}
	addresses := slices.SortedFunc(maps.Keys(isolations), netip.Addr.Compare)
	decided := make([]Isolation, 0, len(addresses))
	for _, address := range addresses {
		decided = append(decided, *isolations[address])
	}
	return decided, nil
}

// isolates says whether a policy speaks of that direction. The API server fills the types in; this is its rule.
func isolates(policy *networking.NetworkPolicy, direction networking.PolicyType) bool {
	if len(policy.Spec.PolicyTypes) > 0 {
		return slices.Contains(policy.Spec.PolicyTypes, direction)
	}
	return direction == networking.PolicyTypeIngress || len(policy.Spec.Egress) > 0
}

// member is a pod with an address of its own.
type member struct {
	*core.Pod
	address netip.Addr
}

// port is the number of one of its ports that has a name.
func (m member) port(name string, protocol core.Protocol) (uint16, bool) {
	for _, container := range slices.Concat(m.Spec.InitContainers, m.Spec.Containers) {
		for _, port := range container.Ports {
			if port.Name == name && cmp.Or(port.Protocol, core.ProtocolTCP) == protocol {
				return uint16(port.ContainerPort), true
			}
		}
	}
	return 0, false
}

// catalogue is the world, to be asked.
type catalogue struct {
	namespaces []*core.Namespace
	pods       map[string][]member // By namespace, in the order of their addresses.
}

func index(world World) catalogue {
	known := catalogue{namespaces: world.Namespaces, pods: map[string][]member{}}
	for _, pod := range world.Pods {
		ended := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
		// A pod in its node's network is the node: no policy is about that. One that has ended gave its address back.
		if pod.Spec.HostNetwork || ended {
			continue
		}
		for _, ip := range pod.Status.PodIPs {
			if address, err := netip.ParseAddr(ip.IP); err == nil && address.Is4() {
				known.pods[pod.Namespace] = append(known.pods[pod.Namespace], member{pod, address})
			}
		}
	}
	for _, members := range known.pods {
		slices.SortFunc(members, func(a, b member) int { return a.address.Compare(b.address) })
	}
	return known
}

// selected are a namespace's pods that a selector means.
func (c catalogue) selected(namespace string, by *meta.LabelSelector) ([]member, error) {
	selector, err := meta.LabelSelectorAsSelector(by)
	if err != nil {
		return nil, err
	}
	var found []member
	for _, pod := range c.pods[namespace] {
		if selector.Matches(labels.Set(pod.Labels)) {
			found = append(found, pod)
		}
	}
	return found, nil
}

// rule is one of a policy's rules, its peers resolved.
type rule struct {
	peers []resolved
	ports []networking.NetworkPolicyPort
}

// resolved are peers with what is known of the pods among them.
type resolved struct {
	Peers
	members []member
}

// rules are a policy's: they are the same for every pod that it selects.
func (c catalogue) rules(policy *networking.NetworkPolicy) (ingress, egress []rule, err error) {
	for _, it := range policy.Spec.Ingress {
		peers, err := c.peers(policy.Namespace, it.From)
		if err != nil {
			return nil, nil, err
		}
		ingress = append(ingress, rule{peers, it.Ports})
	}
	for _, it := range policy.Spec.Egress {
		peers, err := c.peers(policy.Namespace, it.To)
		if err != nil {
			return nil, nil, err
		}
		egress = append(egress, rule{peers, it.Ports})
	}
	return ingress, egress, nil
}

// peers are all pods that are meant, together, and each block. No list means everybody.
func (c catalogue) peers(namespace string, list []networking.NetworkPolicyPeer) ([]resolved, error) {
	if len(list) == 0 {
		return []resolved{{Peers: Peers{Everybody: true}}}, nil
	}
	var found []resolved
	members := map[netip.Addr]member{}
	for _, peer := range list {
		if peer.IPBlock != nil {
			block, err := block(peer.IPBlock)
			if err != nil {
				return nil, err
			}
			found = append(found, resolved{Peers: block})
			continue
		}
		spaces := []string{namespace}
		if peer.NamespaceSelector != nil {
			selector, err := meta.LabelSelectorAsSelector(peer.NamespaceSelector)
			if err != nil {
				return nil, err
			}
			spaces = nil
			for _, it := range c.namespaces {
				if selector.Matches(labels.Set(it.Labels)) {
					spaces = append(spaces, it.Name)
				}
			}
		}
		// With a selector of namespaces alone, all their pods are meant.
		pods := cmp.Or(peer.PodSelector, &meta.LabelSelector{})
		for _, space := range spaces {
			selected, err := c.selected(space, pods)
			if err != nil {
				return nil, err
			}
			for _, it := range selected {
				members[it.address] = it
			}
		}
	}
	if len(members) > 0 {
		found = append(found, pods(slices.Collect(maps.Values(members))))
	}
	return found, nil
}

func pods(members []member) resolved {
	slices.SortFunc(members, func(a, b member) int { return a.address.Compare(b.address) })
	it := resolved{members: members}
	for _, member := range members {
		it.Pods = append(it.Pods, member.address)
	}
	return it
}

func block(from *networking.IPBlock) (Peers, error) {
	prefix, err := netip.ParsePrefix(from.CIDR)
	if err != nil {
		return Peers{}, err
	}
	it := Peers{Block: prefix.Masked()}
	for _, text := range from.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil {
			return Peers{}, err
		}
		it.Except = append(it.Except, except.Masked())
	}
	return it, nil
}

// received is what a rule lets a pod receive: names of ports are the pod's own.
func (r rule) received(pod member) []Allow {
	var ports []Port
	for _, port := range r.ports {
		if it, ok := number(port, pod); ok {
			ports = append(ports, it)
		}
	}
	if len(ports) == 0 && len(r.ports) > 0 {
		return nil // Only names that this pod has no port of.
	}
	var allows []Allow
	for _, peers := range r.peers {
		allows = append(allows, Allow{peers.Peers, ports})
	}
	return allows
}

// sent is what a rule lets a pod send: names of ports are the receiver's, so there is one Allow for each number that they stand for.
func (c catalogue) sent(r rule) []Allow {
	var allows []Allow
	for _, peers := range r.peers {
		var ports []Port
		named := map[Port][]member{}
		for _, port := range r.ports {
			if port.Port == nil || port.Port.Type == intstr.Int {
				it, _ := number(port, member{})
				ports = append(ports, it)
				continue
			}
			for _, receiver := range c.members(peers) {
				if it, ok := number(port, receiver); ok {
					named[it] = append(named[it], receiver)
				}
			}
		}
		if len(ports) > 0 || len(r.ports) == 0 {
			allows = append(allows, Allow{peers.Peers, ports})
		}
		order := func(a, b Port) int { return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.From, b.From)) }
		for _, port := range slices.SortedFunc(maps.Keys(named), order) {
			allows = append(allows, Allow{pods(named[port]).Peers, []Port{port}})
		}
	}
	return allows
}

// members are the pods that peers can be; a block of addresses knows no names of ports.
func (c catalogue) members(peers resolved) []member {
	if peers.Everybody {
		return slices.Concat(slices.Collect(maps.Values(c.pods))...)
	}
	return peers.members
}

// number says which ports are meant, with the names that a pod has for its own. False where it has no port of that name.
func number(port networking.NetworkPolicyPort, of member) (Port, bool) {
	protocol := core.ProtocolTCP
	if port.Protocol != nil {
		protocol = *port.Protocol
	}
	if port.Port == nil {
		return Port{protocol, 0, 65535}, true
	}
	if port.Port.Type == intstr.String {
		found, ok := of.port(port.Port.StrVal, protocol)
		return Port{protocol, found, found}, ok
	}
	from := uint16(port.Port.IntVal)
	to := from
	if port.EndPort != nil {
		to = uint16(*port.EndPort)
	}
	return Port{protocol, from, to}, true
}
