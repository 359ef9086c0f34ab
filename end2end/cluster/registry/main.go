// A registry in which every image exists, as in the embedded cluster: each is the fixture, and its name says how it behaves
// (server/sim/docs/images.md). So one test deploys the same images on both, and nothing is ever pulled from the internet.
//
// Usage: registry ADDRESS IMAGES.TAR. The tar has the layers `shell.tar` and `fixture.tar`.
package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

type object = map[string]any

// registry holds what was asked for, by digest: names come and go, content does not.
type registry struct {
	mutex  sync.Mutex
	blobs  map[string][]byte
	layers map[string]string
}

func (r *registry) put(content []byte) string {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.blobs[digest] = content
	return digest
}

func (r *registry) get(digest string) ([]byte, bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	content, found := r.blobs[digest]
	return content, found
}

// read takes the layers out of an archive as `docker save` writes it.
func (r *registry) read(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for archive := tar.NewReader(file); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if name, isLayer := strings.CutSuffix(header.Name, ".tar"); isLayer {
			content, err := io.ReadAll(archive)
			if err != nil {
				return err
			}
			r.layers[name] = r.put(content)
		}
	}
	if r.layers["shell"] == "" || r.layers["fixture"] == "" {
		return fmt.Errorf("%s lacks shell.tar or fixture.tar", path)
	}
	return nil
}

var (
	behaviours = strings.Fields("crash crash-after exit oom never-ready slow-start flaky hang-after ignore-term chatty no-db sleep")
	shells     = strings.Fields("busybox alpine debian ubuntu bash")
)

func among(list []string, word string) bool {
	for _, one := range list {
		if one == word {
			return true
		}
	}
	return false
}

// behaviour is what an image does, and the argument that its name gives: a special word is the last part of the repository,
// with the tag as its argument, or the tag, with the argument after a hyphen.
func behaviour(repository, tag string) (word, argument string) {
	last := repository[strings.LastIndex(repository, "/")+1:]
	special := func(word string) bool { return word == "missing" || among(behaviours, word) }
	if special(last) {
		return last, tag
	}
	// The longest word that fits: `crash-after-30s` is no `crash`.
	for end := len(tag); end > 0; end = strings.LastIndex(tag[:end], "-") {
		if special(tag[:end]) {
			return tag[:end], strings.TrimPrefix(tag[end:], "-")
		}
	}
	if among(shells, last) {
		return "shell", ""
	}
	return "serve", ""
}

// config is what the runtime reads: who runs what.
func (r *registry) config(repository, tag string) (content []byte, layers []string) {
	word, argument := behaviour(repository, tag)
	environment := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if _, err := time.ParseDuration(argument); err == nil {
		environment = append(environment, "SIM_AFTER="+argument)
	}
	if word == "exit" && argument != "" {
		environment = append(environment, "SIM_EXIT_CODE="+argument)
	}
	start := object{"Env": environment, "User": "65532:65532", "Entrypoint": []string{"/fixture", word}, "ExposedPorts": object{"8080/tcp": object{}}}
	layers = []string{r.layers["shell"], r.layers["fixture"]}
	if word == "shell" {
		start = object{"Env": environment, "Cmd": []string{"sh"}, "WorkingDir": "/"}
		layers = layers[:1]
	}
	content, _ = json.Marshal(object{
		"architecture": runtime.GOARCH, "os": "linux", "config": start,
		"rootfs": object{"type": "layers", "diff_ids": layers},
	})
	return content, layers
}

func (r *registry) manifest(repository, tag string) []byte {
	config, layers := r.config(repository, tag)
	describe := func(kind, digest string, size int) object {
		return object{"mediaType": kind, "digest": digest, "size": size}
	}
	var described []object
	for _, digest := range layers {
		content, _ := r.get(digest)
		described = append(described, describe(layerType, digest, len(content)))
	}
	content, _ := json.Marshal(object{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": describe(configType, r.put(config), len(config)), "layers": described,
	})
	return content
}

// ServeHTTP answers pulls: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pull
func (r *registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	refuse := func(status int, code string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(object{"errors": []object{{"code": code, "message": strings.ToLower(strings.ReplaceAll(code, "_", " "))}}})
	}
	path := strings.TrimPrefix(request.URL.Path, "/v2/")
	repository, reference, isManifest := strings.Cut(path, "/manifests/")
	_, digest, isBlob := strings.Cut(path, "/blobs/")
	answer := func(kind string, content []byte) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256(content)))
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		if request.Method != http.MethodHead {
			w.Write(content)
		}
	}
	switch {
	case request.Method != http.MethodGet && request.Method != http.MethodHead:
		refuse(http.StatusMethodNotAllowed, "UNSUPPORTED")
	case path == "":
		answer("application/json", []byte("{}"))
	case strings.Contains("/"+path, "/private/") && request.Header.Get("Authorization") == "":
		w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
		refuse(http.StatusUnauthorized, "UNAUTHORIZED")
	case isBlob || isManifest && strings.HasPrefix(reference, "sha256:"):
		kind := "application/octet-stream"
		if isManifest {
			kind, digest = manifestType, reference
		}
		content, found := r.get(digest)
		if !found {
			refuse(http.StatusNotFound, "BLOB_UNKNOWN")
			return
		}
		answer(kind, content)
	case isManifest:
		if word, _ := behaviour(repository, reference); word == "missing" {
			refuse(http.StatusNotFound, "MANIFEST_UNKNOWN")
			return
		}
		content := r.manifest(repository, reference)
		r.put(content)
		answer(manifestType, content)
	default:
		refuse(http.StatusNotFound, "NAME_UNKNOWN")
	}
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: registry ADDRESS IMAGES.TAR")
	}
	r := &registry{blobs: map[string][]byte{}, layers: map[string]string{}}
	if err := r.read(os.Args[2]); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(os.Args[1], r))
}
