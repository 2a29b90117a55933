#define _GNU_SOURCE
#include "host/agent.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "host/clock.h"
#include "host/eal.h"
#include "host/log.h"

#define HOUSEKEEPING_BUSY_US 2000
#define HOUSEKEEPING_IDLE_US 250000
#define BUSY_US 100000 /* so long after the last packet the timer stays quick */
#define ENGINE_POLL_US (SLU_ENGINE_POLL_MS * 1000)
#define SHARED_FOLDER "/dev/shm/sluice"

/* ------------------------------------------------------------ start */

/* An independent copy: control replaces and frees its own with every apply. */
static int copy_config(const struct slu_config *config, struct slu_config **copy)
{
	char *text = slu_config_dump(config);
	struct slu_errors errors;
	int error = -ENOMEM;

	if (!text)
		return error;
	slu_errors_init(&errors, "configuration in force");
	error = slu_config_parse(text, strlen(text), copy, &errors);
	for (size_t i = 0; i < errors.count; i++)
		slu_error("%s: %s", errors.items[i].path, errors.items[i].rule);
	slu_errors_clear(&errors);
	free(text);
	return error;
}

static int make_folder(const char *path, mode_t mode)
{
	char partial[PATH_MAX];

	if (snprintf(partial, sizeof(partial), "%s", path) >= (int)sizeof(partial))
		return -ENAMETOOLONG;
	for (char *slash = partial + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		if (mkdir(partial, 0755) != 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(path, mode) != 0 && errno != EEXIST ? -errno : 0;
}

static bool in_memory(const char *path)
{
	struct statfs status;

	return statfs(path, &status) == 0 && (status.f_type == TMPFS_MAGIC || status.f_type == HUGETLBFS_MAGIC);
}

/*
 * The table changes with every packet: on a disk, the kernel would write it
 * back all the time. It therefore stands in memory, in the state folder if
 * that is in memory, else in a private folder of /dev/shm.
 */
static int session_file(const char *state_dir, char path[PATH_MAX])
{
	struct stat status;
	int used;

	if (in_memory(state_dir)) {
		snprintf(path, PATH_MAX, "%s/sessions", state_dir);
		return 0;
	}
	if (mkdir(SHARED_FOLDER, 0700) != 0 && errno != EEXIST)
		return -errno;
	if (lstat(SHARED_FOLDER, &status) != 0)
		return -errno;
	if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 0077)) {
		slu_error("%s is not a private folder of this user", SHARED_FOLDER);
		return -EPERM;
	}
	used = snprintf(path, PATH_MAX, "%s/", SHARED_FOLDER);
	for (const char *c = state_dir; *c && used < PATH_MAX - 1; c++)
		path[used++] = *c == '/' ? '_' : *c;
	path[used] = '\0';
	return 0;
}

static int make_pool(struct slu_agent *agent)
{
	const struct slu_config *config = agent->config;

	agent->ports = calloc(config->port_count, sizeof(*agent->ports));
	if (!agent->ports)
		return -ENOMEM;
	for (uint32_t i = 0; i < config->port_count; i++) {
		agent->ports[i].tap.fd = -1;
		agent->ports[i].config = &config->ports[i];
	}
	agent->pool = rte_pktmbuf_pool_create("slu_packets",
		slu_port_buffers(agent->ports, config->port_count, config->workers), 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
		SOCKET_ID_ANY);
	if (!agent->pool)
		slu_error("packet buffers: %s", rte_strerror(rte_errno));
	return agent->pool ? 0 : -ENOMEM;
}

/* Those that can be had while another agent has them, or the others: a card has one host. */
static int start_ports(struct slu_agent *agent, bool shareable)
{
	const struct slu_config *config = agent->config;
	int error = 0;

	for (uint32_t i = 0; i < config->port_count && !error; i++)
		if (slu_port_is_shareable(&config->ports[i]) == shareable)
			error = slu_port_probe(&agent->ports[i], &config->ports[i]);
	for (uint32_t i = 0; i < config->port_count && !error; i++) {
		struct slu_port *port = &agent->ports[i];

		if (slu_port_is_shareable(&config->ports[i]) != shareable)
			continue;
		error = slu_port_configure(port, config->workers, agent->pool);
		if (error)
			break;
		slu_flow_port_prepare(port->id);
		error = slu_port_start(port);
	}
	return error;
}

static int open_taps(struct slu_agent *agent)
{
	for (uint32_t i = 0; i < agent->config->port_count; i++) {
		struct slu_port *port = &agent->ports[i];
		int error = slu_tap_open(&port->tap, port->config->tap, port->mac, port->mtu);

		if (error) {
			slu_error("port %s: TAP %s: %s", port->config->name, port->config->tap, strerror(-error));
			return error;
		}
	}
	return 0;
}

static int find_session_file(const struct slu_agent *agent, char path[PATH_MAX])
{
	int error = make_folder(agent->config->state_dir, 0700);

	if (!error)
		error = session_file(agent->config->state_dir, path);
	if (error)
		slu_error("state folder %s: %s", agent->config->state_dir, strerror(-error));
	return error;
}

/* When the document applied last was written; 0: never. */
static uint64_t applied_ns(const struct slu_agent *agent)
{
	struct stat status;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/applied.json", agent->config->state_dir);
	if (stat(path, &status) != 0)
		return 0;
	return (uint64_t)status.st_mtim.tv_sec * 1000000000 + (uint64_t)status.st_mtim.tv_nsec;
}

/* Reads the configuration again; what cannot be used leaves the one that is there. */
static void reread_config(struct slu_agent *agent, struct slu_config **config)
{
	struct slu_config *again;
	struct slu_errors errors;
	char *note = NULL;

	slu_errors_init(&errors, agent->path);
	if (slu_control_load(agent->path, &again, &errors, &note) == 0) {
		slu_config_free(*config);
		*config = again;
	}
	free(note);
	slu_errors_clear(&errors);
}

/*
 * The agent that serves ends here, and only now: whatever could be started beside it is. It may have applied a document
 * meanwhile. Frames that it has forwarded already stand in the shared ports' rings too; those that come from here on
 * stay there until the workers run, so that none is lost.
 */
static int take_over(struct slu_agent *agent, struct slu_config **config)
{
	char path[PATH_MAX];
	uint64_t applied = applied_ns(agent);
	int error = find_session_file(agent, path);

	if (error || agent->takeover.fd < 0)
		return error;
	reread_config(agent, config);
	for (uint32_t i = 0; i < agent->config->port_count; i++)
		if (slu_port_is_shareable(&agent->config->ports[i]))
			slu_port_discard(&agent->ports[i]);
	error = slu_takeover_end(&agent->takeover, path);
	if (!error && applied_ns(agent) != applied)
		reread_config(agent, config);
	return error;
}

static int start_dataplane(struct slu_agent *agent)
{
	struct slu_dataplane_settings settings = {.sessions = (uint32_t)agent->config->sessions,
		.workers = agent->config->workers,
		.now_us = slu_clock_us()};
	struct slu_dataplane_recovery recovery;
	char path[PATH_MAX];
	int error = find_session_file(agent, path);

	if (error)
		return error;
	settings.session_file = path;
	error = slu_dataplane_create(&settings, &agent->dp, &recovery);
	if (error) {
		slu_error("session table %s: %s", path, strerror(-error));
		return error;
	}
	if (recovery.reused)
		slu_info("%u sessions taken over from an agent that %s, %u half-written ones dropped",
			recovery.sessions, recovery.clean ? "ended" : "died", recovery.dropped);
	else if (recovery.discarded)
		slu_warning("session table starts empty: %s", recovery.discarded);
	for (uint32_t i = 0; i < agent->config->port_count && agent->config->workers > 1; i++) {
		struct slu_rss rss = {0};

		slu_port_read_rss(&agent->ports[i], agent->config->workers, &rss);
		slu_dataplane_set_rss(agent->dp, agent->ports[i].id, &rss);
	}
	slu_retire_init(&agent->retirement, agent->dp);
	return 0;
}

/* A document of the whole cluster, from etcd. */
static bool apply_shared(void *context, const char *text)
{
	struct slu_agent *agent = context;
	struct slu_control_result result;
	struct slu_errors errors;
	int error;

	slu_errors_init(&errors, "etcd");
	error = slu_control_apply_shared(agent->control, text, strlen(text), false, &result, &errors);
	for (size_t i = 0; i < errors.count; i++)
		slu_error("etcd: refused: %s: %s", errors.items[i].path, errors.items[i].rule);
	slu_errors_clear(&errors);
	slu_control_result_clear(&result);
	return error == 0;
}

/* Before the first generation, so that sessions taken over have an owner from the beginning. */
static int prepare_cluster(struct slu_agent *agent)
{
	const struct slu_cluster_settings settings = {.base = agent->base,
		.dp = agent->dp,
		.retirement = &agent->retirement,
		.config = agent->config,
		.apply = apply_shared,
		.context = agent};

	return agent->config->cluster ? slu_cluster_create(&settings, &agent->cluster) : 0;
}

static void tell_cluster(struct slu_agent *agent)
{
	struct slu_control_status status;

	if (!agent->cluster)
		return;
	slu_control_status(agent->control, &status);
	slu_cluster_set_generation(
		agent->cluster, agent->generation, slu_control_config(agent->control), status.documents);
}

static void on_hops_changed(void *context)
{
	struct slu_agent *agent = context;

	if (agent->engine)
		slu_engine_hops_changed(agent->engine);
}

static int start_kernel(struct slu_agent *agent)
{
	const struct slu_kernel_settings settings = {.base = agent->base,
		.dp = agent->dp,
		.retirement = &agent->retirement,
		.ports = agent->ports,
		.port_count = agent->config->port_count,
		.state_dir = agent->config->state_dir,
		.changed = on_hops_changed,
		.context = agent};
	int error = slu_kernel_create(&settings, &agent->kernel);

	if (error)
		slu_error("routes and neighbours of the kernel: %s", strerror(-error));
	return error;
}

/* ------------------------------------------------------ control's hooks */

static int hook_index_build(void *context, struct slu_generation *generation)
{
	(void)context;
	return slu_listener_index_build(generation);
}

static void hook_index_free(void *context, struct slu_generation *generation)
{
	(void)context;
	slu_listener_index_free(generation->index);
	generation->index = NULL;
}

static void release_generation(void *context, void *generation)
{
	struct slu_agent *agent = context;

	slu_control_release(agent->control, generation);
}

static void hook_publish(void *context, struct slu_generation *next, struct slu_generation *previous)
{
	struct slu_agent *agent = context;

	slu_dataplane_publish(agent->dp, next);
	agent->generation = next;
	slu_kernel_set_generation(agent->kernel, next);
	slu_metering_set_generation(agent->metering, next);
	slu_retire_add(&agent->retirement, previous, release_generation, agent);
	/* The first one is told when control is there. */
	if (agent->control)
		tell_cluster(agent);
}

static uint64_t hook_backend_sessions(void *context, uint32_t live)
{
	struct slu_agent *agent = context;
	struct slu_live_counters counters;

	slu_dataplane_backend_counters(agent->dp, live, &counters);
	return counters.active + counters.inactive;
}

static uint64_t hook_listener_sessions(void *context, uint32_t live)
{
	struct slu_agent *agent = context;
	struct slu_live_counters counters;

	slu_dataplane_listener_counters(agent->dp, live, &counters);
	return counters.active + counters.inactive;
}

static void hook_log(void *context, const char *line)
{
	(void)context;
	slu_info("%s", line);
}

static int start_control(struct slu_agent *agent, struct slu_config *config)
{
	const struct slu_control_hooks hooks = {.ctx = agent,
		.index_build = hook_index_build,
		.index_free = hook_index_free,
		.publish = hook_publish,
		.backend_sessions = hook_backend_sessions,
		.listener_sessions = hook_listener_sessions,
		.log = hook_log};
	struct slu_errors errors;
	int error;

	slu_errors_init(&errors, agent->path);
	error = slu_control_create(agent->base, config, &hooks, &agent->control, &errors);
	for (size_t i = 0; i < errors.count; i++)
		slu_error("%s: %s", errors.items[i].path, errors.items[i].rule);
	slu_errors_clear(&errors);
	if (error)
		return error;
	tell_cluster(agent);
	/* The addresses just set made routes. */
	error = slu_kernel_resync(agent->kernel);
	if (error)
		slu_error("routes and neighbours of the kernel: %s", strerror(-error));
	return error;
}

/* Workers run: what a card cannot carry before its table is read, they do. */
static int start_engine(struct slu_agent *agent, struct slu_engine_recovered *recovered)
{
	const struct slu_engine_settings settings = {.dp = agent->dp,
		.kernel = agent->kernel,
		.ports = agent->ports,
		.port_count = agent->config->port_count};
	uint64_t began = slu_clock_us();
	uint32_t adopted;
	int error = slu_engine_create(&settings, &agent->engine);

	if (error)
		return error;
	adopted = slu_engine_adopt(agent->engine, recovered);
	if (adopted)
		slu_info("%u directions of sessions adopted in the card, in %u ms", adopted,
			(unsigned int)((slu_clock_us() - began) / 1000));
	return 0;
}

static int start_loops(struct slu_agent *agent)
{
	uint32_t workers = agent->config->workers;
	int error = 0;

	agent->loops = aligned_alloc(64, (sizeof(struct slu_loop) * workers + 63) / 64 * 64);
	agent->exception_workers = calloc(workers, sizeof(*agent->exception_workers));
	if (!agent->loops || !agent->exception_workers)
		return -ENOMEM;
	memset(agent->loops, 0, sizeof(struct slu_loop) * workers);
	for (uint32_t w = 0; w < workers; w++)
		agent->loops[w].epoll = agent->loops[w].wake.fd = -1;
	for (uint32_t w = 0; w < workers && !error; w++) {
		struct slu_loop *loop = &agent->loops[w];

		error = slu_loop_init(loop, w, workers, slu_dataplane_worker(agent->dp, w));
		loop->all = agent->loops;
		loop->control = &agent->wake;
		loop->control_slow = &agent->slow;
		for (uint32_t p = 0; p < agent->config->port_count && !error; p++) {
			loop->by_id[agent->ports[p].id] = &agent->ports[p];
			for (uint32_t q = w; q < agent->ports[p].rx_queues && !error; q += workers)
				error = slu_loop_add_queue(loop, &agent->ports[p], (uint16_t)q);
		}
		agent->exception_workers[w] =
			(struct slu_exception_worker){.to_wire = loop->to_wire, .wake = &loop->wake};
	}
	return error;
}

static int start_exception(struct slu_agent *agent)
{
	const struct slu_exception_settings settings = {.base = agent->base,
		.ports = agent->ports,
		.port_count = agent->config->port_count,
		.pool = agent->pool,
		.workers = agent->exception_workers,
		.worker_count = agent->config->workers,
		.control = &agent->wake};
	int error = slu_exception_create(&settings, &agent->exception);

	for (uint32_t w = 0; w < agent->config->workers && !error; w++)
		agent->loops[w].exception = agent->exception;
	return error;
}

static int launch(struct slu_agent *agent)
{
	unsigned int lcore = rte_get_next_lcore(-1, 1, 0);

	for (uint32_t w = 0; w < agent->config->workers; w++) {
		int error =
			lcore < RTE_MAX_LCORE ? rte_eal_remote_launch(slu_loop_run, &agent->loops[w], lcore) : -EINVAL;

		if (error) {
			slu_error("worker %u has no lcore", w);
			return error;
		}
		agent->workers_run = true;
		lcore = rte_get_next_lcore(lcore, 1, 0);
	}
	return 0;
}

/* ------------------------------------------------- the control thread's work */

static bool serve(struct slu_agent *agent)
{
	const struct timeval soon = {.tv_usec = SLU_ENGINE_LOOK_US};
	bool more = slu_exception_poll(agent->exception);
	enum slu_engine_state state;

	slu_kernel_poll(agent->kernel);
	state = slu_engine_turn(agent->engine);
	if (state == SLU_ENGINE_WAITS && !event_pending(agent->engine_event, EV_TIMEOUT, NULL))
		event_add(agent->engine_event, &soon);
	return more || state == SLU_ENGINE_MORE;
}

/* The card has had some time for what is queued. */
static void on_engine(evutil_socket_t fd, short what, void *context)
{
	struct slu_agent *agent = context;

	(void)fd;
	(void)what;
	if (serve(agent))
		event_active(agent->wake_event, EV_READ, 1);
}

static void on_wake(evutil_socket_t fd, short what, void *context)
{
	struct slu_agent *agent = context;

	(void)fd;
	(void)what;
	slu_wake_disarm(&agent->wake);
	/* Armed before the look: whatever comes during or after it kicks again. */
	slu_wake_arm(&agent->wake);
	if (serve(agent))
		event_active(agent->wake_event, EV_READ, 1);
	if (atomic_load_explicit(&agent->slow, memory_order_relaxed)) {
		const struct timeval soon = {.tv_usec = HOUSEKEEPING_BUSY_US};

		atomic_store_explicit(&agent->slow, 0, memory_order_relaxed);
		agent->busy_until_us = slu_clock_us() + BUSY_US;
		event_add(agent->housekeeping, &soon);
	}
}

static uint64_t packets_of_all(const struct slu_agent *agent)
{
	uint64_t packets = 0;

	for (uint32_t w = 0; w < agent->config->workers; w++)
		packets += atomic_load_explicit(&agent->loops[w].counters.packets, memory_order_relaxed);
	return packets;
}

/* Quick while packets flow or something waits; rare otherwise. */
static void on_housekeeping(evutil_socket_t fd, short what, void *context)
{
	struct slu_agent *agent = context;
	uint64_t now = slu_clock_us(), packets = packets_of_all(agent);
	struct timeval next = {.tv_usec = HOUSEKEEPING_BUSY_US};
	bool waits;

	(void)fd;
	(void)what;
	waits = serve(agent);
	waits |= slu_retire_poll(&agent->retirement);
	if (now >= agent->engine_at_us) {
		slu_engine_poll(agent->engine);
		agent->engine_at_us = now + ENGINE_POLL_US;
	}
	if (packets != agent->packets_seen || waits)
		agent->busy_until_us = now + BUSY_US;
	agent->packets_seen = packets;
	if (now >= agent->busy_until_us) {
		struct slu_engine_counters counters;

		slu_engine_read_counters(agent->engine, &counters);
		/* What the card carries alone still has counters to read. */
		next.tv_usec = counters.flows ? ENGINE_POLL_US : HOUSEKEEPING_IDLE_US;
		atomic_store_explicit(&agent->slow, 1, memory_order_relaxed);
	}
	event_add(agent->housekeeping, &next);
}

static void on_terminate(evutil_socket_t number, short what, void *context)
{
	struct slu_agent *agent = context;

	(void)what;
	slu_info("ends on signal %d", (int)number);
	event_base_loopbreak(agent->base);
}

static char *read_file(const char *path, size_t *bytes)
{
	FILE *file = fopen(path, "re");
	char *text = malloc(SLU_CONFIG_MAX_BYTES + 1);

	*bytes = 0;
	if (file && text)
		*bytes = fread(text, 1, SLU_CONFIG_MAX_BYTES + 1, file);
	if (!file || (text && ferror(file))) {
		free(text);
		text = NULL;
	}
	if (file)
		fclose(file);
	return text;
}

static void on_reload(evutil_socket_t number, short what, void *context)
{
	struct slu_agent *agent = context;
	struct slu_control_result result = {0};
	struct slu_errors errors;
	size_t bytes;
	char *text = read_file(agent->path, &bytes);

	(void)number;
	(void)what;
	if (!text) {
		slu_error("reload: %s: %s", agent->path, strerror(errno));
		return;
	}
	slu_errors_init(&errors, agent->path);
	if (slu_control_apply(agent->control, text, bytes, false, &result, &errors) == 0) {
		slu_info("reload: generation %llu, %zu changes", (unsigned long long)result.generation,
			result.change_count);
		slu_control_result_clear(&result);
	}
	for (size_t i = 0; i < errors.count; i++) {
		char *line = slu_errors_format(&errors, i);

		slu_error("reload: %s", line ? line : "out of memory");
		free(line);
	}
	slu_errors_clear(&errors);
	free(text);
}

static int start_events(struct slu_agent *agent)
{
	const struct timeval now = {0};

	agent->wake_event = event_new(agent->base, agent->wake.fd, EV_READ | EV_PERSIST, on_wake, agent);
	agent->housekeeping = event_new(agent->base, -1, 0, on_housekeeping, agent);
	agent->engine_event = event_new(agent->base, -1, 0, on_engine, agent);
	agent->terminate[0] = evsignal_new(agent->base, SIGTERM, on_terminate, agent);
	agent->terminate[1] = evsignal_new(agent->base, SIGINT, on_terminate, agent);
	agent->reload = evsignal_new(agent->base, SIGHUP, on_reload, agent);
	if (!agent->wake_event || !agent->housekeeping || !agent->engine_event || !agent->terminate[0] ||
		!agent->terminate[1] || !agent->reload)
		return -ENOMEM;
	event_add(agent->wake_event, NULL);
	event_add(agent->housekeeping, &now);
	event_add(agent->terminate[0], NULL);
	event_add(agent->terminate[1], NULL);
	event_add(agent->reload, NULL);
	slu_wake_arm(&agent->wake);
	return 0;
}

/* Found out before anything is touched: the card has one host, and a second agent would only disturb the first. */
static int check_alone(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock, error;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	error = connect(sock, (struct sockaddr *)&address, sizeof(address)) == 0 ? -EADDRINUSE : 0;
	close(sock);
	if (error)
		slu_error("API socket %s: another agent serves it", path);
	return error;
}

static int start_api(struct slu_agent *agent)
{
	struct slu_api_providers providers = {0};
	int error;

	slu_providers_fill(agent, &providers);
	error = slu_api_create(agent->base, agent->control, &providers, agent->config->api, &agent->api);
	if (error)
		slu_error("API socket %s: %s", agent->config->api, strerror(-error));
	return error;
}

/* Precise timers: the engine looks after its card every 100 us while that works. */
static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config && event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0)
		base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	return base;
}

/* What disturbs nobody who serves. */
static int prepare(struct slu_agent *agent, const struct slu_config *config, const char *pmd, bool take_over)
{
	int error = copy_config(config, &agent->config);

	if (!error)
		error = take_over ? slu_takeover_find(&agent->takeover, agent->config->api)
				  : check_alone(agent->config->api);
	if (!error)
		error = slu_log_take_dpdk();
	if (!error)
		error = slu_wake_open(&agent->wake);
	agent->base = new_base();
	if (!error && !agent->base)
		error = -ENOMEM;
	if (!error)
		error = slu_eal_start(config, pmd);
	if (!error)
		error = make_pool(agent);
	if (!error)
		error = start_ports(agent, true);
	return error;
}

int slu_agent_start(struct slu_agent *agent, struct slu_config *config, const struct slu_agent_options *options)
{
	struct slu_engine_recovered recovered = {0};
	uint64_t began;
	int error;

	memset(agent, 0, sizeof(*agent));
	agent->path = options->path;
	agent->wake.fd = agent->takeover.fd = -1;
	error = prepare(agent, config, options->pmd, options->take_over);
	began = slu_clock_us();
	if (!error)
		error = take_over(agent, &config);
	if (!error)
		error = start_ports(agent, false);
	if (!error)
		error = open_taps(agent);
	if (!error)
		error = start_dataplane(agent);
	if (!error)
		error = prepare_cluster(agent);
	if (!error)
		error = slu_metering_create(agent->base, agent->dp, config->state_dir, &agent->metering);
	if (!error)
		error = start_kernel(agent);
	if (error) {
		slu_config_free(config);
		return error;
	}
	error = start_control(agent, config);
	if (!error)
		error = slu_engine_recover(agent->dp, &recovered);
	if (!error)
		error = start_loops(agent);
	if (!error)
		error = start_exception(agent);
	if (!error)
		error = start_events(agent);
	if (!error)
		error = launch(agent);
	if (!error && agent->takeover.fd >= 0)
		slu_info("took over: nobody forwarded in software for at most %u ms",
			(unsigned int)((slu_clock_us() - began) / 1000));
	if (!error)
		error = start_engine(agent, &recovered);
	free(recovered.list);
	if (!error && agent->cluster)
		error = slu_cluster_start(agent->cluster);
	if (!error)
		error = start_api(agent);
	if (!error)
		slu_info("%s serves, %u workers, %u ports", agent->config->node, agent->config->workers,
			agent->config->port_count);
	return error;
}

void slu_agent_run(struct slu_agent *agent)
{
	event_base_dispatch(agent->base);
}

/* ------------------------------------------------------------ stop */

static void stop_workers(struct slu_agent *agent)
{
	for (uint32_t w = 0; agent->loops && w < agent->config->workers; w++)
		slu_loop_stop(&agent->loops[w]);
	if (agent->workers_run)
		rte_eal_mp_wait_lcore();
	agent->workers_run = false;
}

static void stop_events(struct slu_agent *agent)
{
	struct event *events[] = {agent->wake_event, agent->housekeeping, agent->engine_event, agent->terminate[0],
		agent->terminate[1], agent->reload};

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (events[i])
			event_free(events[i]);
	}
}

/*
 * For who comes next, and therefore before the session file, which it waits for. A driver may remove a port's rules
 * when that is stopped or closed, and they are to stay: only our card keeps them, and is let go at once. The others see
 * the process end.
 */
static void let_go_of_ports(struct slu_agent *agent)
{
	for (uint32_t i = 0; agent->ports && i < agent->config->port_count; i++) {
		struct slu_port *port = &agent->ports[i];

		slu_tap_close(&port->tap);
		if (port->started && slu_port_is_sluice(port) && !atomic_load(&port->gone))
			slu_port_stop(port);
	}
}

void slu_agent_stop(struct slu_agent *agent)
{
	slu_api_destroy(agent->api);
	slu_cluster_stop(agent->cluster);
	stop_workers(agent);
	slu_cluster_destroy(agent->cluster);
	stop_events(agent);
	slu_exception_destroy(agent->exception);
	for (uint32_t w = 0; agent->loops && w < agent->config->workers; w++)
		slu_loop_fini(&agent->loops[w]);
	slu_engine_destroy(agent->engine);
	let_go_of_ports(agent);
	if (agent->dp)
		slu_retire_finish(&agent->retirement);
	if (agent->control) {
		slu_control_release(agent->control, slu_control_generation(agent->control));
		slu_control_destroy(agent->control);
	}
	slu_metering_destroy(agent->metering);
	if (agent->dp)
		slu_dataplane_destroy(agent->dp);
	slu_kernel_destroy(agent->kernel);
	slu_takeover_close(&agent->takeover);
	free(agent->ports);
	free(agent->loops);
	free(agent->exception_workers);
	slu_wake_close(&agent->wake);
	if (agent->base)
		event_base_free(agent->base);
	slu_config_free(agent->config);
}
