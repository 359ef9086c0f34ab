// A CSI driver for the test cluster: volumes that grow, snapshots and clones, on one disk that all nodes see.
//
// The disk is a file with btrfs in it (pool.go), a volume is a file there with XFS in it, mounted where a pod wants it (node.go), and
// a snapshot or a clone is a copy that shares its blocks with the original (controller.go). What speaks with Kubernetes are the
// programs that every CSI driver has beside it, from their own modules: this one only answers them and the kubelet.
package main

import (
	"context"
	"errors"
	"io/fs"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const (
	name    = "btrfs.csi.berth.dev"
	version = "1"
	// Where the node's own files are mounted: this program lives among them, with their tools.
	host = "/host"
	// What all nodes share: it outlives a node's power.
	shared = "/var/lib/shared"
	// The node's own.
	kubelet = "/var/lib/kubelet"
	folder  = kubelet + "/plugins/csi-btrfs"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Getenv("NODE_NAME")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, node string) error {
	if err := errors.Join(syscall.Chroot(host), os.Chdir("/")); err != nil {
		return err
	}
	pool := Pool{Image: filepath.Join(shared, "pool.img"), At: filepath.Join(folder, "pool")}
	if err := pool.Open(ctx); err != nil {
		return err
	}
	socket := filepath.Join(folder, "csi.sock")
	driver := Driver(pool, node)
	// The kubelet looks for drivers in this folder, and asks each what it is.
	registrar := grpc.NewServer(grpc.UnaryInterceptor(logged))
	registration.RegisterRegistrationServer(registrar, registrant{socket: socket})
	failed := make(chan error, 2)
	go func() { failed <- serve(driver, socket) }()
	go func() { failed <- serve(registrar, filepath.Join(kubelet, "plugins_registry/csi-btrfs.sock")) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		registrar.GracefulStop()
		driver.GracefulStop()
		return nil
	}
}

// Driver answers all three of CSI's services.
func Driver(pool Pool, node string) *grpc.Server {
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(logged, pool.alone))
	csi.RegisterIdentityServer(server, identity{})
	csi.RegisterControllerServer(server, controller{pool: pool})
	csi.RegisterNodeServer(server, nodeService{pool: pool, name: node})
	return server
}

// serve listens at a path that may be left over from the program before.
func serve(server *grpc.Server, socket string) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return server.Serve(listener)
}

// logged says what failed, and gives errors of ours that have no code one.
func logged(ctx context.Context, request any, call *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	answer, err := handler(ctx, request)
	if err == nil {
		return answer, nil
	}
	log.Printf("%s: %v", call.FullMethod, err)
	if _, coded := status.FromError(err); !coded {
		err = status.Error(codes.Internal, err.Error())
	}
	return nil, err
}

// registrant tells the kubelet where the driver is.
type registrant struct {
	registration.UnimplementedRegistrationServer
	socket string
}

func (r registrant) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: name, Endpoint: r.socket, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (registrant) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if !status.PluginRegistered {
		log.Printf("the kubelet does not take the driver: %s", status.Error)
	}
	return &registration.RegistrationStatusResponse{}, nil
}

type identity struct {
	csi.UnimplementedIdentityServer
}

func (identity) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: name, VendorVersion: version}, nil
}

func (identity) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{
		{Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{Type: csi.PluginCapability_Service_CONTROLLER_SERVICE}}},
		{Type: &csi.PluginCapability_VolumeExpansion_{VolumeExpansion: &csi.PluginCapability_VolumeExpansion{Type: csi.PluginCapability_VolumeExpansion_ONLINE}}},
	}}, nil
}

func (identity) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}
