package main

import (
	"fmt"
	"net/netip"
	"strings"
)

// The one table that is ours.
const table = "inet berth_policy"

// Render writes the rules as nft reads them: the whole table, which takes the place of the one before in one transaction.
//
// There is one chain for what is sent and one for what is received, and a packet has to pass both: `accept` ends only the chain in
// which it stands. Only forwarded packets come here, with a Service's address already exchanged for a pod's: what a node itself
// sends to its pods (the kubelet's probes) is never stopped, as the standard wants it.
func Render(isolations []Isolation) string {
	r := renderer{names: map[string]string{}}
	sent := r.direction("egress", "saddr", "daddr", -11, isolations, func(it Isolation) Direction { return it.Egress })
	received := r.direction("ingress", "daddr", "saddr", -10, isolations, func(it Isolation) Direction { return it.Ingress })
	// A table has to be there to be deleted.
	return fmt.Sprintf("table %s\ndelete table %s\ntable %s {\n%s%s%s}\n", table, table, table, &r.sets, sent, received)
}

type renderer struct {
	sets  strings.Builder
	names map[string]string // Of sets, by what is in them: many pods' rules are about the same peers.
}

// direction is the chain that all packets meet, and one for each pod that is isolated.
func (r *renderer) direction(name, own, peer string, priority int, isolations []Isolation, of func(Isolation) Direction) string {
	var chains, verdicts strings.Builder
	for _, it := range isolations {
		direction := of(it)
		if !direction.Isolated {
			continue
		}
		chain := name + "_" + it.Address.String()
		fmt.Fprintf(&verdicts, "%s : goto %s, ", it.Address, chain)
		fmt.Fprintf(&chains, "\tchain %s {\n\t\t# %s; nothing stops a pod from reaching itself\n\t\tip %s %s accept\n", chain, it.Pod, peer, it.Address)
		for _, allow := range direction.Allows {
			for _, line := range r.allow(peer, allow) {
				fmt.Fprintf(&chains, "\t\t%saccept\n", line)
			}
		}
		chains.WriteString("\t\tdrop\n\t}\n")
	}
	if verdicts.Len() == 0 {
		return ""
	}
	return fmt.Sprintf(`%s	chain %s {
		type filter hook forward priority %d; policy accept;
		ct state established,related accept
		ip %s vmap { %s }
	}
`, &chains, name, priority, own, strings.TrimSuffix(verdicts.String(), ", "))
}

// allow is what has to be true of a packet: a line for each range of ports, none where nothing can match.
func (r *renderer) allow(peer string, allow Allow) []string {
	var from string
	switch {
	case allow.Peers.Everybody:
	case allow.Peers.Block.IsValid():
		if !allow.Peers.Block.Addr().Is4() {
			return nil // Pods have IPv4 addresses alone.
		}
		from = fmt.Sprintf("ip %s %s ", peer, allow.Peers.Block)
		for _, except := range allow.Peers.Except {
			from += fmt.Sprintf("ip %s != %s ", peer, except)
		}
	default:
		from = fmt.Sprintf("ip %s @%s ", peer, r.set(allow.Peers.Pods))
	}
	if len(allow.Ports) == 0 {
		return []string{from}
	}
	var lines []string
	for _, port := range allow.Ports {
		protocol := strings.ToLower(string(port.Protocol))
		ports := fmt.Sprint(port.From)
		if port.To != port.From {
			ports += fmt.Sprintf("-%d", port.To)
		}
		lines = append(lines, fmt.Sprintf("%smeta l4proto %s th dport %s ", from, protocol, ports))
	}
	return lines
}

// set is the name of the set of these addresses.
func (r *renderer) set(addresses []netip.Addr) string {
	texts := make([]string, 0, len(addresses))
	for _, address := range addresses {
		texts = append(texts, address.String())
	}
	elements := strings.Join(texts, ", ")
	name, known := r.names[elements]
	if !known {
		name = fmt.Sprintf("peers%d", len(r.names)+1)
		r.names[elements] = name
		fmt.Fprintf(&r.sets, "\tset %s { type ipv4_addr; elements = { %s } }\n", name, elements)
	}
	return name
}
