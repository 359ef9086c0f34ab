package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// apart says that this process has mounts of its own.
const apart = "CSI_TEST_APART"

// TestMain takes the tests to a mount namespace of their own: whatever they leave ends with them.
func TestMain(m *testing.M) {
	if os.Getuid() != 0 || os.Getenv(apart) != "" {
		os.Exit(m.Run())
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		panic(err)
	}
	again := append([]string{"unshare", "--mount", "--propagation", "private"}, os.Args...)
	panic(syscall.Exec(unshare, again, append(os.Environ(), apart+"=1")))
}

// TestConformance runs the suite that the makers of CSI have for drivers, on a pool of its own.
func TestConformance(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may mount")
	}
	dir := t.TempDir()
	pool := Pool{Image: filepath.Join(dir, "pool.img"), At: filepath.Join(dir, "pool")}
	if err := pool.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tool(context.Background(), "umount", pool.At); err != nil {
			t.Error(err)
		}
	})
	socket := filepath.Join(dir, "csi.sock")
	server := Driver(pool, "node1")
	t.Cleanup(server.Stop)
	go func() {
		if err := serve(server, socket); err != nil {
			t.Error(err)
		}
	}()
	// The suite's first connection is not tried again.
	for {
		open, err := net.Dial("unix", socket)
		if err == nil {
			_ = open.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	config := sanity.NewTestConfig()
	config.Address = "unix:" + socket
	config.TargetPath = filepath.Join(dir, "target")
	config.StagingPath = filepath.Join(dir, "staging")
	config.TestVolumeSize = 32 << 20
	config.TestVolumeExpandSize = 64 << 20
	config.IdempotentCount = 2
	sanity.Test(t, config)
	for _, folder := range []string{pool.volumes(), pool.snapshots()} {
		if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
			t.Errorf("%s has %v %v", folder, left, err)
		}
	}
}

func TestCapacity(t *testing.T) {
	for _, test := range []struct {
		required, limit, want int64
		code                  codes.Code
	}{
		{0, 0, smallest, codes.OK},
		{1, 0, smallest, codes.OK},
		{smallest + 1, 0, smallest + page, codes.OK},
		{64 << 20, 64 << 20, 64 << 20, codes.OK},
		{poolSize, 0, poolSize, codes.OK},
		{poolSize + 1, 0, 0, codes.OutOfRange},
		{0, smallest - 1, 0, codes.OutOfRange},
		{smallest + 1, smallest + 2, 0, codes.OutOfRange},
		{-1, 0, 0, codes.InvalidArgument},
	} {
		got, err := capacity(&csi.CapacityRange{RequiredBytes: test.required, LimitBytes: test.limit})
		if got != test.want || status.Code(err) != test.code {
			t.Errorf("%d to %d: %d, %v", test.required, test.limit, got, err)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	mount := func(fs string) *csi.VolumeCapability {
		return &csi.VolumeCapability{AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{FsType: fs}}}
	}
	shared := mount("")
	shared.AccessMode = &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER}
	for name, test := range map[string]struct {
		capability *csi.VolumeCapability
		code       codes.Code
	}{
		"any file system": {mount(""), codes.OK},
		"its own":         {mount("xfs"), codes.OK},
		"another":         {mount("ext4"), codes.InvalidArgument},
		"several writers": {shared, codes.InvalidArgument},
		"a block device":  {&csi.VolumeCapability{AccessType: &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}}, codes.InvalidArgument},
	} {
		if err := supported([]*csi.VolumeCapability{test.capability}); status.Code(err) != test.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, id := range []string{"", ".", "..", "a/b", "a@b", ".unfinished", "-x"} {
		if checkID("name", id) == nil {
			t.Errorf("%q is taken", id)
		}
	}
}
