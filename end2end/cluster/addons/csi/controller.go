package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	// XFS wants that much.
	smallest = 16 << 20
	// Sizes are whole pages.
	page = 4 << 10
)

// controller makes volumes and snapshots: files of the pool, so any node's will do.
type controller struct {
	csi.UnimplementedControllerServer
	pool Pool
}

func (c controller) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	can := func(it csi.ControllerServiceCapability_RPC_Type) *csi.ControllerServiceCapability {
		return &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: it}},
		}
	}
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: []*csi.ControllerServiceCapability{
		can(csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME),
		can(csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT),
		can(csi.ControllerServiceCapability_RPC_CLONE_VOLUME),
		can(csi.ControllerServiceCapability_RPC_EXPAND_VOLUME),
		can(csi.ControllerServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER),
	}}, nil
}

func (c controller) CreateVolume(ctx context.Context, request *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	id := request.GetName()
	if err := checkID("name", id); err != nil {
		return nil, err
	}
	if err := supported(request.GetVolumeCapabilities()); err != nil {
		return nil, err
	}
	wanted, err := capacity(request.GetCapacityRange())
	if err != nil {
		return nil, err
	}
	made := func(size int64) *csi.CreateVolumeResponse {
		return &csi.CreateVolumeResponse{Volume: &csi.Volume{VolumeId: id, CapacityBytes: size, ContentSource: request.GetVolumeContentSource()}}
	}
	have, exists, err := size(c.pool.Volume(id))
	if err != nil {
		return nil, err
	}
	if exists {
		if !within(have, request.GetCapacityRange()) {
			return nil, status.Errorf(codes.AlreadyExists, "%s exists with %d bytes", id, have)
		}
		return made(have), nil
	}
	fill := format(ctx)
	if source := c.source(request.GetVolumeContentSource()); source != "" {
		least, exists, err := size(source)
		if err != nil {
			return nil, err
		}
		if !exists {
			return nil, status.Errorf(codes.NotFound, "there is no %s to copy", filepath.Base(source))
		}
		if wanted = max(wanted, least); !within(wanted, request.GetCapacityRange()) {
			return nil, status.Errorf(codes.OutOfRange, "what is copied has %d bytes", least)
		}
		fill = copyOf(source)
	}
	if err := create(c.pool.Volume(id), wanted, fill); err != nil {
		return nil, err
	}
	return made(wanted), nil
}

// source is the file that a volume shall be like.
func (c controller) source(from *csi.VolumeContentSource) string {
	if snapshot := from.GetSnapshot(); snapshot != nil {
		return c.pool.Snapshot(filepath.Base(snapshot.GetSnapshotId()))
	}
	if volume := from.GetVolume(); volume != nil {
		return c.pool.Volume(filepath.Base(volume.GetVolumeId()))
	}
	return ""
}

func (c controller) DeleteVolume(ctx context.Context, request *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	id := request.GetVolumeId()
	if id == "" {
		return nil, status.Error(codes.InvalidArgument, "no volume_id")
	}
	if checkID("volume_id", id) != nil {
		return &csi.DeleteVolumeResponse{}, nil // None of ours.
	}
	if device, err := device(ctx, c.pool.Volume(id)); err != nil || device != "" {
		return nil, status.Errorf(codes.FailedPrecondition, "%s is in use by %s %v", id, device, err)
	}
	return &csi.DeleteVolumeResponse{}, remove(c.pool.Volume(id))
}

func (c controller) ValidateVolumeCapabilities(_ context.Context, request *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if len(request.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "no volume_capabilities")
	}
	if err := c.exists(request.GetVolumeId()); err != nil {
		return nil, err
	}
	if err := supported(request.GetVolumeCapabilities()); err != nil {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: err.Error()}, nil
	}
	confirmed := &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: request.GetVolumeCapabilities()}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: confirmed}, nil
}

// ControllerExpandVolume gives the file more bytes; its file system gets them on the node.
func (c controller) ControllerExpandVolume(_ context.Context, request *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	id := request.GetVolumeId()
	if err := c.exists(id); err != nil {
		return nil, err
	}
	if request.GetCapacityRange() == nil {
		return nil, status.Error(codes.InvalidArgument, "no capacity_range")
	}
	wanted, err := capacity(request.GetCapacityRange())
	if err != nil {
		return nil, err
	}
	have, _, err := size(c.pool.Volume(id))
	if err != nil {
		return nil, err
	}
	if wanted > have {
		if err := os.Truncate(c.pool.Volume(id), wanted); err != nil {
			return nil, err
		}
	}
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: max(wanted, have), NodeExpansionRequired: true}, nil
}

// CreateSnapshot copies a volume's file as it is: as a disk would be after a power cut. The id is `VOLUME@NAME`.
func (c controller) CreateSnapshot(_ context.Context, request *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if err := checkID("name", request.GetName()); err != nil {
		return nil, err
	}
	if request.GetSourceVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "no source_volume_id")
	}
	if err := c.exists(request.GetSourceVolumeId()); err != nil {
		return nil, err
	}
	id := request.GetSourceVolumeId() + "@" + request.GetName()
	same, err := filepath.Glob(c.pool.Snapshot("*@" + request.GetName()))
	if err != nil {
		return nil, err
	}
	if len(same) == 0 {
		if err := create(c.pool.Snapshot(id), 0, copyOf(c.pool.Volume(request.GetSourceVolumeId()))); err != nil {
			return nil, err
		}
	} else if same[0] != c.pool.Snapshot(id) {
		return nil, status.Errorf(codes.AlreadyExists, "%s is of another volume", request.GetName())
	}
	info, err := os.Stat(c.pool.Snapshot(id))
	if err != nil {
		return nil, err
	}
	return &csi.CreateSnapshotResponse{Snapshot: &csi.Snapshot{
		SnapshotId:     id,
		SourceVolumeId: request.GetSourceVolumeId(),
		SizeBytes:      info.Size(),
		CreationTime:   timestamppb.New(info.ModTime()),
		ReadyToUse:     true,
	}}, nil
}

func (c controller) DeleteSnapshot(_ context.Context, request *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	volume, name, _ := strings.Cut(request.GetSnapshotId(), "@")
	if request.GetSnapshotId() == "" {
		return nil, status.Error(codes.InvalidArgument, "no snapshot_id")
	}
	if checkID("", volume) != nil || checkID("", name) != nil {
		return &csi.DeleteSnapshotResponse{}, nil // None of ours.
	}
	return &csi.DeleteSnapshotResponse{}, remove(c.pool.Snapshot(request.GetSnapshotId()))
}

// exists says what is wrong where a volume is not there.
func (c controller) exists(id string) error { return exists(c.pool, id) }

func exists(pool Pool, id string) error {
	if id == "" {
		return status.Error(codes.InvalidArgument, "no volume_id")
	}
	if checkID("volume_id", id) == nil {
		if _, exists, err := size(pool.Volume(id)); err != nil || exists {
			return err
		}
	}
	return status.Errorf(codes.NotFound, "there is no volume %s", id)
}

var ids = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)

// checkID says whether something can be the name of a file, and part of a snapshot's.
func checkID(what, id string) error {
	if !ids.MatchString(id) {
		return status.Errorf(codes.InvalidArgument, "%s %q is not one that this driver can use", what, id)
	}
	return nil
}

// supported refuses block devices and writers on several nodes.
func supported(capabilities []*csi.VolumeCapability) error {
	if len(capabilities) == 0 {
		return status.Error(codes.InvalidArgument, "no volume_capabilities")
	}
	for _, it := range capabilities {
		if it.GetBlock() != nil {
			return status.Error(codes.InvalidArgument, "volumes are file systems here, not block devices")
		}
		if fs := it.GetMount().GetFsType(); fs != "" && fs != "xfs" {
			return status.Errorf(codes.InvalidArgument, "volumes have XFS here, not %s", fs)
		}
		switch mode := it.GetAccessMode().GetMode(); mode {
		case csi.VolumeCapability_AccessMode_MULTI_NODE_SINGLE_WRITER, csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER:
			return status.Errorf(codes.InvalidArgument, "%s: a volume has its writers on one node", mode)
		}
	}
	return nil
}

// capacity is the size that a volume gets.
func capacity(asked *csi.CapacityRange) (int64, error) {
	if asked.GetRequiredBytes() < 0 || asked.GetLimitBytes() < 0 {
		return 0, status.Error(codes.InvalidArgument, "a size below nothing")
	}
	wanted := max(asked.GetRequiredBytes(), smallest)
	wanted = (wanted + page - 1) / page * page
	if !within(wanted, asked) || wanted > poolSize {
		return 0, status.Errorf(codes.OutOfRange, "volumes have %d to %d bytes, in steps of %d", smallest, poolSize, page)
	}
	return wanted, nil
}

func within(size int64, asked *csi.CapacityRange) bool {
	return size >= asked.GetRequiredBytes() && (asked.GetLimitBytes() == 0 || size <= asked.GetLimitBytes())
}
