/*
 * sluice-toa: loads toa.bpf.c, attaches it to a cgroup, and takes it off at the end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tools/toa/toa.h"

/* The kernel's part, compiled. */
__asm__(".section .rodata\n.balign 16\n"
	".global slu_toa_object\nslu_toa_object: .incbin \"" TOA_BPF_OBJECT "\"\n0:\n"
	".balign 8\n.global slu_toa_object_bytes\nslu_toa_object_bytes: .quad 0b - slu_toa_object\n.previous\n");
extern const char slu_toa_object[];
extern const uint64_t slu_toa_object_bytes;

#define SOURCES_MAX 4096

/* The key of map `sources`. */
struct source {
	uint32_t bits;
	uint8_t ip[16];
};

static const char usage[] =
	"Usage: sluice-toa --cgroup FOLDER --from PREFIX [--from PREFIX ...]\n"
	"While it runs, servers of the cgroup (version 2) that begin to listen see the client's address of TOA\n"
	"as the peer of connections that come from PREFIX: local addresses of Sluice, 198.18.2.0/24 or fd00:2::/64.\n"
	"Prints `attached` when it is; SIGUSR1 prints the counts, SIGTERM and SIGINT end it.\n";

/* Returns false if the text is no prefix, or has bits behind it. */
static bool read_source(const char *text, struct source *source)
{
	char ip[INET6_ADDRSTRLEN] = "", *end = NULL;
	const char *slash = strchr(text, '/');
	size_t bytes = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long bits, width;

	if (bytes >= sizeof(ip))
		return false;
	memcpy(ip, text, bytes);
	memset(source, 0, sizeof(*source));
	width = strchr(ip, ':') ? 128 : 32;
	if (width == 32)
		source->ip[10] = source->ip[11] = 0xFF;
	if (inet_pton(width == 32 ? AF_INET : AF_INET6, ip, source->ip + (width == 32 ? 12 : 0)) != 1)
		return false;
	bits = slash ? strtoul(slash + 1, &end, 10) : width;
	if (bits > width || (slash && (slash[1] < '0' || slash[1] > '9' || *end != '\0')))
		return false;
	source->bits = (uint32_t)(128 - width + bits);
	for (uint32_t bit = source->bits; bit < 128; bit++)
		if (source->ip[bit / 8] & 0x80 >> bit % 8)
			return false;
	return true;
}

static struct bpf_object *load(const struct source *sources, uint32_t count)
{
	struct bpf_object *object = bpf_object__open_mem(slu_toa_object, slu_toa_object_bytes, NULL);
	uint32_t yes = 1;

	if (!object || bpf_object__load(object)) {
		fprintf(stderr, "sluice-toa: the kernel does not take the program: %s\n", strerror(errno));
		bpf_object__close(object);
		return NULL;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (bpf_map_update_elem(
			    bpf_object__find_map_fd_by_name(object, "sources"), &sources[i], &yes, BPF_ANY)) {
			fprintf(stderr, "sluice-toa: cannot store a prefix: %s\n", strerror(errno));
			bpf_object__close(object);
			return NULL;
		}
	}
	return object;
}

/* The links end with the process, however that ends. */
static int attach(struct bpf_object *object, const char *cgroup)
{
	int folder = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct bpf_program *program;

	if (folder < 0) {
		fprintf(stderr, "sluice-toa: %s: %s\n", cgroup, strerror(errno));
		return -errno;
	}
	bpf_object__for_each_program(program, object)
	{
		if (bpf_program__attach_cgroup(program, folder))
			continue;
		fprintf(stderr, "sluice-toa: cannot attach %s to %s: %s\n", bpf_program__name(program), cgroup,
			strerror(errno));
		close(folder);
		return -errno;
	}
	close(folder);
	return 0;
}

static void print_counts(const struct bpf_object *object)
{
	static const char *const names[SLU_TOA_COUNT_MAX] = {[SLU_TOA_COUNT_KEPT] = "kept",
		[SLU_TOA_COUNT_UNTRUSTED] = "untrusted",
		[SLU_TOA_COUNT_TOLD] = "told",
		[SLU_TOA_COUNT_NO_MEMORY] = "no_memory"};
	int map = bpf_object__find_map_fd_by_name(object, "counts");

	for (uint32_t i = 0; i < SLU_TOA_COUNT_MAX; i++) {
		uint64_t value = 0;

		bpf_map_lookup_elem(map, &i, &value);
		printf("%s%s %llu", i ? ", " : "", names[i], (unsigned long long)value);
	}
	printf("\n");
	fflush(stdout);
}

static int run(const char *cgroup, const struct source *sources, uint32_t count)
{
	struct bpf_object *object;
	sigset_t signals;
	int signal;

	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	object = load(sources, count);
	if (!object)
		return 1;
	if (attach(object, cgroup)) {
		bpf_object__close(object);
		return 1;
	}
	printf("attached\n");
	fflush(stdout);
	do {
		if (sigwait(&signals, &signal))
			break;
		print_counts(object);
	} while (signal == SIGUSR1);
	bpf_object__close(object);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"cgroup", required_argument, NULL, 'c'},
		{"from", required_argument, NULL, 'f'}, {"help", no_argument, NULL, 'h'}, {0}};
	static struct source sources[SOURCES_MAX];
	const char *cgroup = NULL;
	uint32_t count = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return 0;
		}
		if (option == 'c') {
			cgroup = optarg;
			continue;
		}
		if (option != 'f')
			return 2;
		if (count == SOURCES_MAX || !read_source(optarg, &sources[count])) {
			fprintf(stderr, "sluice-toa: %s: %s\n", optarg,
				count == SOURCES_MAX ? "too many prefixes"
						     : "no prefix like 198.18.2.0/24 or fd00:2::/64");
			return 2;
		}
		count++;
	}
	if (!cgroup || !count || optind != argc) {
		fputs(usage, stderr);
		return 2;
	}
	return run(cgroup, sources, count);
}
