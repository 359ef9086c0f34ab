package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
)

// How large the pool looks. It takes what is written, and no more.
const poolSize = 20 << 30

// Pool is the disk that all nodes see: a file with btrfs in it, on which files are copied without their blocks.
//
// Each node mounts it in its own namespace; to the kernel these are one and the same file system. The same is true of a volume:
// a second mount of its file finds the loop device of the first. Loop devices go with the last mount, also when a
// node loses its power.
type Pool struct {
	Image string // Its file.
	At    string // Where this node mounts it.
}

// Open mounts it, and makes it first if nobody has.
func (p Pool) Open(ctx context.Context) error {
	if err := os.MkdirAll(p.At, 0o755); err != nil {
		return err
	}
	unlock, err := p.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(p.Image); errors.Is(err, fs.ErrNotExist) {
		format := func(file string) error { return tool(ctx, "mkfs.btrfs", "--quiet", file) }
		if err := create(p.Image, poolSize, format); err != nil {
			return err
		}
	}
	if !mounted(ctx, p.At) {
		if err := tool(ctx, "mount", "-o", "loop", p.Image, p.At); err != nil {
			return err
		}
	}
	return errors.Join(os.MkdirAll(p.volumes(), 0o755), os.MkdirAll(p.snapshots(), 0o755))
}

// lock keeps every other call away, on all nodes.
func (p Pool) lock() (unlock func(), err error) {
	file, err := os.OpenFile(p.Image+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil
}

// alone answers one call at a time, on all nodes: of two mounts at once, each would make a loop device of its own for the volume.
func (p Pool) alone(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	unlock, err := p.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	return handler(ctx, request)
}

func (p Pool) volumes() string   { return filepath.Join(p.At, "volumes") }
func (p Pool) snapshots() string { return filepath.Join(p.At, "snapshots") }

// Volume is the file of a volume.
func (p Pool) Volume(id string) string { return filepath.Join(p.volumes(), id) }

// Snapshot is the file of a snapshot.
func (p Pool) Snapshot(id string) string { return filepath.Join(p.snapshots(), id) }

// create makes a file of that size, whole or not at all: empty but for what fill writes.
func create(file string, size int64, fill func(file string) error) error {
	unfinished := filepath.Join(filepath.Dir(file), ".unfinished")
	if err := os.WriteFile(unfinished, nil, 0o600); err != nil {
		return err
	}
	if err := errors.Join(os.Truncate(unfinished, size), fill(unfinished)); err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	return os.Rename(unfinished, file)
}

// format makes a volume's file system. XFS, as ext4 may not grow where root lacks CAP_SYS_RESOURCE; it calls small ones "unsupported".
func format(ctx context.Context) func(string) error {
	return func(file string) error { return tool(ctx, "mkfs.xfs", "-q", "--unsupported", file) }
}

// copyOf makes a file like another, as that is at this moment, with which it shares its blocks.
func copyOf(from string) func(string) error {
	return func(file string) error {
		source, err := os.Open(from)
		if err != nil {
			return err
		}
		defer source.Close()
		info, err := source.Stat()
		if err != nil {
			return err
		}
		target, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer target.Close()
		wanted, err := target.Stat()
		if err != nil {
			return err
		}
		if err := unix.IoctlFileClone(int(target.Fd()), int(source.Fd())); err != nil {
			return fmt.Errorf("cannot clone %s: %w", from, err)
		}
		// The copy may be larger: its file system grows when it is mounted.
		return target.Truncate(max(info.Size(), wanted.Size()))
	}
}

// remove takes a file away; one that is gone is no error.
func remove(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// size is a file's; false where there is none.
func size(file string) (int64, bool, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return info.Size(), true, nil
}

// device is the loop device of a file, on whichever node it is mounted; empty where it is on none.
func device(ctx context.Context, file string) (string, error) {
	said, err := exec.CommandContext(ctx, "losetup", "--noheadings", "--output", "NAME", "--associated", file).Output()
	if err != nil {
		return "", fmt.Errorf("losetup: %w", err)
	}
	return strings.TrimSpace(string(said)), nil
}

func mounted(ctx context.Context, folder string) bool {
	return tool(ctx, "mountpoint", "--quiet", folder) == nil
}

// tool runs one of the node's programs.
func tool(ctx context.Context, name string, arguments ...string) error {
	if said, err := exec.CommandContext(ctx, name, arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(said)))
	}
	return nil
}
