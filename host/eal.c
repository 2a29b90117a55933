#define _GNU_SOURCE
#include "host/eal.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "host/log.h"

#define ARGUMENTS_MAX 96
#define MEMORY_MB 256
#define HUGE_PAGE_KB 2048
#define PLUGIN "librte_net_sluice.so"

struct arguments {
	char *values[ARGUMENTS_MAX];
	int count;
};

static void add(struct arguments *arguments, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct arguments *arguments, const char *format, ...)
{
	va_list list;
	char *text = NULL;

	if (arguments->count == ARGUMENTS_MAX - 1)
		return;
	va_start(list, format);
	if (vasprintf(&text, format, list) < 0)
		abort();
	va_end(list);
	arguments->values[arguments->count++] = text;
}

bool slu_eal_is_pci(const char *device)
{
	unsigned int domain, bus, slot, function;
	int used = 0;

	if (sscanf(device, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &used) != 4 &&
		sscanf(device, "%2x:%2x.%1x%n", &bus, &slot, &function, &used) != 3)
		return false;
	return device[used] == '\0' || device[used] == ',';
}

static unsigned long read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long value = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%lu", &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

static void add_memory(struct arguments *arguments)
{
	unsigned long pages = read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");

	add(arguments, "--iova-mode=va");
	if (pages * HUGE_PAGE_KB / 1024 >= MEMORY_MB) {
		add(arguments, "--in-memory");
		add(arguments, "--single-file-segments");
		return;
	}
	/* EAL counts --no-huge as legacy memory, which excludes --in-memory; this has the same effect. */
	add(arguments, "--no-shconf");
	add(arguments, "--no-huge");
	add(arguments, "-m");
	add(arguments, "%d", MEMORY_MB);
}

static bool user_chose_lcores(const struct slu_config *config)
{
	for (uint32_t i = 0; i < config->eal_count; i++) {
		if (strncmp(config->eal[i], "-l", 2) == 0 || strncmp(config->eal[i], "-c", 2) == 0 ||
			strncmp(config->eal[i], "--lcores", 8) == 0)
			return true;
	}
	return false;
}

/*
 * With CPUs to spare each thread has its own; else all float over all CPUs,
 * because several agents on a small machine would otherwise share one.
 */
static void add_lcores(struct arguments *arguments, const struct slu_config *config)
{
	char text[4096] = "--lcores=", all[2048] = "";
	int cpus[CPU_SETSIZE], count = 0;
	cpu_set_t set;
	size_t used;

	if (user_chose_lcores(config) || sched_getaffinity(0, sizeof(set), &set) != 0)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		used = strlen(all);
		if (used < sizeof(all) - 8)
			snprintf(all + used, sizeof(all) - used, "%s%d", count ? "," : "", cpu);
		cpus[count++] = cpu;
	}
	for (uint32_t lcore = 0; lcore <= config->workers; lcore++) {
		used = strlen(text);
		if ((uint32_t)count > config->workers + 1)
			snprintf(text + used, sizeof(text) - used, "%s%u@%d", lcore ? "," : "", lcore, cpus[lcore]);
		else
			snprintf(text + used, sizeof(text) - used, "%s%u@(%s)", lcore ? "," : "", lcore, all);
	}
	add(arguments, "%s", text);
}

static bool wants_plugin(const struct slu_config *config)
{
	for (uint32_t i = 0; i < config->port_count; i++) {
		if (strncmp(config->ports[i].device, "net_sluice", 10) == 0)
			return true;
	}
	return false;
}

static bool wants_pci(const struct slu_config *config)
{
	for (uint32_t i = 0; i < config->port_count; i++) {
		if (slu_eal_is_pci(config->ports[i].device))
			return true;
	}
	return false;
}

static int find_plugin(const char *given, char path[PATH_MAX])
{
	static const char *const folders[] = {
		"/usr/local/lib/sluice", "/usr/lib/sluice", "/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0"};
	char program[PATH_MAX], candidate[PATH_MAX + 64];
	ssize_t length;

	if (given)
		return realpath(given, path) ? 0 : -errno;
	length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	if (length > 0) {
		program[length] = '\0';
		*strrchr(program, '/') = '\0';
		snprintf(candidate, sizeof(candidate), "%s/../lib/" PLUGIN, program);
		if (realpath(candidate, path))
			return 0;
	}
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(candidate, sizeof(candidate), "%s/" PLUGIN, folders[i]);
		if (realpath(candidate, path))
			return 0;
	}
	return -ENOENT;
}

static bool others_may_write(const char *path)
{
	char folder[PATH_MAX];
	struct stat status;

	snprintf(folder, sizeof(folder), "%s", path);
	for (;;) {
		char *slash = strrchr(folder, '/');

		if (stat(*folder ? folder : "/", &status) != 0 || (status.st_mode & S_IWOTH))
			return true;
		if (!slash)
			return false;
		*slash = '\0';
	}
}

static int copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	char buffer[65536];
	ssize_t bytes = -1;

	while (in >= 0 && out >= 0 && (bytes = read(in, buffer, sizeof(buffer))) > 0) {
		if (write(out, buffer, (size_t)bytes) != bytes) {
			bytes = -1;
			break;
		}
	}
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return bytes == 0 ? 0 : -EIO;
}

/*
 * EAL opens plugins with local scope; the agent looks the driver's one public
 * function up by name (rte_pmd_sluice.h), which takes global scope. The path is
 * the caller's: EAL writes its program name over the last of its arguments.
 */
static void widen_scope(const char *plugin)
{
	if (!dlopen(plugin, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL))
		slu_error("driver %s: %s", plugin, dlerror());
}

/* path becomes the plugin's; private[0] the folder to remove after the start, or it stays empty. */
static int add_plugin(struct arguments *arguments, const char *pmd, char path[PATH_MAX], char private[64])
{
	char copy[PATH_MAX];
	int error = find_plugin(pmd, path);

	if (error) {
		slu_error("driver %s: %s", pmd ? pmd : PLUGIN, strerror(-error));
		return error;
	}
	if (others_may_write(path)) {
		strcpy(private, "/run/sluiced-XXXXXX");
		if (!mkdtemp(private)) {
			private[0] = '\0';
			return -errno;
		}
		snprintf(copy, sizeof(copy), "%s/" PLUGIN, private);
		error = copy_file(path, copy);
		if (error) {
			slu_error("copy of %s to %s: %s", path, copy, strerror(-error));
			return error;
		}
		strcpy(path, copy);
	}
	add(arguments, "-d");
	add(arguments, "%s", path);
	return 0;
}

static void remove_private(const char *private)
{
	char copy[PATH_MAX];

	if (!private[0])
		return;
	snprintf(copy, sizeof(copy), "%s/" PLUGIN, private);
	unlink(copy);
	rmdir(private);
}

int slu_eal_start(const struct slu_config *config, const char *pmd)
{
	struct arguments arguments = {0};
	char plugin[PATH_MAX] = "", private[64] = "";
	int error = 0;

	add(&arguments, "sluiced");
	add(&arguments, "--file-prefix=sluiced-%s-%d", config->node, getpid());
	add(&arguments, "--no-telemetry");
	add_memory(&arguments);
	add_lcores(&arguments, config);
	if (!wants_pci(config))
		add(&arguments, "--no-pci");
	if (wants_plugin(config))
		error = add_plugin(&arguments, pmd, plugin, private);
	for (uint32_t i = 0; i < config->eal_count; i++)
		add(&arguments, "%s", config->eal[i]);
	arguments.values[arguments.count] = NULL;
	if (!error && rte_eal_init(arguments.count, arguments.values) < 0) {
		error = -rte_errno;
		slu_error("EAL does not start: %s", rte_strerror(rte_errno));
	}
	if (!error && plugin[0])
		widen_scope(plugin);
	remove_private(private);
	/* EAL keeps pointers into its arguments. */
	return error;
}
