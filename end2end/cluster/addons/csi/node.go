package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// nodeService mounts volumes where pods want them.
type nodeService struct {
	csi.UnimplementedNodeServer
	pool Pool
	name string
}

func (n nodeService) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: n.name}, nil
}

func (nodeService) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	can := func(it csi.NodeServiceCapability_RPC_Type) *csi.NodeServiceCapability {
		return &csi.NodeServiceCapability{
			Type: &csi.NodeServiceCapability_Rpc{Rpc: &csi.NodeServiceCapability_RPC{Type: it}},
		}
	}
	return &csi.NodeGetCapabilitiesResponse{Capabilities: []*csi.NodeServiceCapability{
		can(csi.NodeServiceCapability_RPC_EXPAND_VOLUME),
		can(csi.NodeServiceCapability_RPC_GET_VOLUME_STATS),
		can(csi.NodeServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER),
	}}, nil
}

func (n nodeService) NodePublishVolume(ctx context.Context, request *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	target := request.GetTargetPath()
	if target == "" || request.GetVolumeCapability() == nil {
		return nil, status.Error(codes.InvalidArgument, "no target_path, or no volume_capability")
	}
	if err := exists(n.pool, request.GetVolumeId()); err != nil {
		return nil, err
	}
	if err := supported([]*csi.VolumeCapability{request.GetVolumeCapability()}); err != nil {
		return nil, err
	}
	if mounted(ctx, target) {
		return &csi.NodePublishVolumeResponse{}, nil
	}
	if err := os.MkdirAll(target, 0o750); err != nil {
		return nil, err
	}
	// A copy has the original's identity, which XFS would not mount twice.
	if err := tool(ctx, "mount", "-t", "xfs", "-o", "loop,nouuid", n.pool.Volume(request.GetVolumeId()), target); err != nil {
		return nil, err
	}
	// A copy may be larger than the original.
	err := tool(ctx, "xfs_growfs", "-d", target)
	if err == nil && request.GetReadonly() {
		err = tool(ctx, "mount", "-o", "remount,bind,ro", target)
	}
	if err != nil {
		return nil, errors.Join(err, tool(ctx, "umount", target))
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

func (n nodeService) NodeUnpublishVolume(ctx context.Context, request *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	target := request.GetTargetPath()
	if target == "" || request.GetVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "no target_path, or no volume_id")
	}
	if mounted(ctx, target) {
		if err := tool(ctx, "umount", target); err != nil {
			return nil, err
		}
	}
	return &csi.NodeUnpublishVolumeResponse{}, remove(target)
}

// NodeExpandVolume lets the file system take what the controller gave the file.
func (n nodeService) NodeExpandVolume(ctx context.Context, request *csi.NodeExpandVolumeRequest) (*csi.NodeExpandVolumeResponse, error) {
	if request.GetVolumePath() == "" {
		return nil, status.Error(codes.InvalidArgument, "no volume_path")
	}
	if err := exists(n.pool, request.GetVolumeId()); err != nil {
		return nil, err
	}
	if !mounted(ctx, request.GetVolumePath()) {
		return nil, status.Errorf(codes.NotFound, "%s is not mounted", request.GetVolumePath())
	}
	file := n.pool.Volume(request.GetVolumeId())
	device, err := device(ctx, file)
	if err != nil {
		return nil, err
	}
	if err := tool(ctx, "losetup", "--set-capacity", device); err != nil {
		return nil, err
	}
	if err := tool(ctx, "xfs_growfs", "-d", request.GetVolumePath()); err != nil {
		return nil, err
	}
	have, _, err := size(file)
	return &csi.NodeExpandVolumeResponse{CapacityBytes: have}, err
}

func (n nodeService) NodeGetVolumeStats(_ context.Context, request *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	if request.GetVolumePath() == "" {
		return nil, status.Error(codes.InvalidArgument, "no volume_path")
	}
	if err := exists(n.pool, request.GetVolumeId()); err != nil {
		return nil, err
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(request.GetVolumePath(), &stat); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, status.Error(codes.NotFound, err.Error())
		}
		return nil, err
	}
	block := stat.Bsize
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
		{
			Unit:      csi.VolumeUsage_BYTES,
			Total:     int64(stat.Blocks) * block,
			Available: int64(stat.Bavail) * block,
			Used:      int64(stat.Blocks-stat.Bfree) * block,
		},
		{
			Unit:      csi.VolumeUsage_INODES,
			Total:     int64(stat.Files),
			Available: int64(stat.Ffree),
			Used:      int64(stat.Files - stat.Ffree),
		},
	}}, nil
}
