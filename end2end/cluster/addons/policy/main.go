// An enforcer of NetworkPolicy for the test cluster, one on each node: what the API server says of policies, pods and namespaces
// becomes a table of nftables in the node's network.
//
// A connection that was allowed when it began goes on when a policy changes; a new pod is isolated as soon as its address
// is in its status. Pods have IPv4 addresses alone here.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	// Where the node's own files are mounted: its nft is run, as the image has nothing but this program.
	host = "/host"
	// How long after a failure it is tried again.
	pause = time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Getenv("NODE_NAME"), os.Getenv("LISTEN")); err != nil {
		log.Fatal(err)
	}
}

// run enforces until it is told to stop. The rules stay: a node whose enforcer starts anew is never open meanwhile.
func run(ctx context.Context, node, listen string) error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	policies := factory.Networking().V1().NetworkPolicies()
	pods := factory.Core().V1().Pods()
	namespaces := factory.Core().V1().Namespaces()
	// However many changes there are while rules are made, they are made once more.
	changed := make(chan struct{}, 1)
	notice := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{policies.Informer(), pods.Informer(), namespaces.Informer()} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { notice() },
			UpdateFunc: func(any, any) { notice() },
			DeleteFunc: func(any) { notice() },
		})
		if err != nil {
			return err
		}
	}

	var ready atomic.Bool
	go func() {
		log.Fatal(http.ListenAndServe(listen, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if !ready.Load() {
				http.Error(w, "no rules yet", http.StatusServiceUnavailable)
			}
		})))
	}()

	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	notice()
	applied := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		var world World
		// Listers fail for no reason but a selector that is none.
		world.Policies, _ = policies.Lister().List(labels.Everything())
		world.Pods, _ = pods.Lister().List(labels.Everything())
		world.Namespaces, _ = namespaces.Lister().List(labels.Everything())
		// The listers keep no order, and the same rules shall make the same text.
		slices.SortFunc(world.Policies, byName)
		isolations, err := Decide(node, world)
		if err == nil {
			if rules := Render(isolations); rules != applied {
				if err = apply(ctx, rules); err == nil {
					applied = rules
					log.Printf("rules for %d isolated pods", len(isolations))
				}
			}
		}
		if err != nil {
			// The old rules hold until then.
			log.Print(err)
			time.AfterFunc(pause, notice)
			continue
		}
		ready.Store(true)
	}
}

func byName(a, b *networking.NetworkPolicy) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// apply hands rules to the node's nft, which makes them hold all at once or not at all.
func apply(ctx context.Context, rules string) error {
	nft := exec.CommandContext(ctx, "/usr/sbin/nft", "--file", "-")
	nft.SysProcAttr = &syscall.SysProcAttr{Chroot: host}
	nft.Dir = "/"
	nft.Stdin = strings.NewReader(rules)
	if said, err := nft.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, said)
	}
	return nil
}
