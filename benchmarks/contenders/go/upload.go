// Upload a folder with Go's net/http: N goroutines, no screening, no retry, no report.
//
// Prints one line of JSON, like the contenders in Python: seconds, processor seconds, peak memory.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const dataset = "00000000-0000-4000-8000-000000000001"

func main() {
	folder, baseURL := os.Args[1], os.Args[2]
	workers, err := strconv.Atoi(os.Args[3])
	check(err)
	began, before := time.Now(), used()

	entries, err := os.ReadDir(folder)
	check(err)
	names := make(chan string)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	url := fmt.Sprintf("%s/api/v1/media/%s/file", baseURL, dataset)

	var group sync.WaitGroup
	for range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for name := range names {
				send(client, url, folder, name)
			}
		}()
	}
	for _, entry := range entries {
		names <- entry.Name()
	}
	close(names)
	group.Wait()

	after := used()
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"seconds":     time.Since(began).Seconds(),
		"cpu_seconds": seconds(after) - seconds(before),
		"peak_rss":    after.Maxrss * 1024,
		"versions":    map[string]string{"go": runtime.Version()},
	}))
}

func send(client *http.Client, url, folder, name string) {
	body, err := os.ReadFile(filepath.Join(folder, name))
	check(err)
	request, err := http.NewRequest("POST", url, bytes.NewReader(body))
	check(err)
	request.Header.Set("Authorization", "Token benchmark")
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set("X-filename", name)
	response, err := client.Do(request)
	check(err)
	defer response.Body.Close()
	if response.StatusCode != 200 {
		check(fmt.Errorf("status %d", response.StatusCode))
	}
	answer, err := io.ReadAll(response.Body)
	check(err)
	var media map[string]any
	check(json.Unmarshal(answer, &media))
}

func used() syscall.Rusage {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage
}

func seconds(usage syscall.Rusage) float64 {
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
