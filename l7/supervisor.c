#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "l7/config/load.h"
#include "l7/proxy/handover.h"
#include "l7/proxy/metrics.h"
#include "l7/proxy/worker.h"
#include "l7/supervisor.h"

#define WORKERS_MAX 64u
#define DOCUMENT_MAX_BYTES (16u << 20)
/* Sockets for a new binary: "address=fd,fd,...;address=..." */
#define INHERITED "SLUICE_L7_SOCKETS"
/* Written to when the new binary serves. */
#define READY_FD "SLUICE_L7_READY"

/* The listening sockets of one address, one a worker. */
struct place {
	char text[56];
	int fds[WORKERS_MAX];
	bool wanted;
};

struct supervised {
	pid_t pid;
	int control;
	uint64_t started_ms;
};

static struct supervisor {
	struct event_base *base;
	const char *path;
	char **argv;
	char *document;
	size_t document_bytes;
	struct slu_site *site;
	uint32_t workers; /* of the first site: sockets cannot be taken apart without losing who waits */
	struct place *places;
	uint32_t place_count;
	struct supervised worker[WORKERS_MAX];
	struct slu_metrics *metrics;
	struct event *restart;
	struct event *signals[7];
	struct event *ready;
	pid_t successor;
	bool ending;
} self;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	va_list arguments;
	char text[2048];
	int bytes;

	va_start(arguments, format);
	bytes = vsnprintf(text, sizeof(text) - 1, format, arguments);
	va_end(arguments);
	bytes = bytes < (int)sizeof(text) - 1 ? bytes : (int)sizeof(text) - 2;
	text[bytes++] = '\n';
	/* A log that cannot be written is no reason to stop. */
	if (write(STDERR_FILENO, text, (size_t)bytes) < 0)
		return;
}

/* -- the document -- */

static int document_read(const char *path, char **text, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = 0;

	*bytes = 0;
	*text = NULL;
	if (fd < 0)
		return -errno;
	*text = malloc(DOCUMENT_MAX_BYTES);
	while (*text != NULL && *bytes < DOCUMENT_MAX_BYTES &&
		(got = read(fd, *text + *bytes, DOCUMENT_MAX_BYTES - *bytes)) > 0)
		*bytes += (size_t)got;
	close(fd);
	if (*text != NULL && got == 0 && *bytes < DOCUMENT_MAX_BYTES)
		return 0;
	free(*text);
	*text = NULL;
	return got < 0 ? -EIO : -EFBIG;
}

/* NULL after every error was said. */
static struct slu_site *site_load(const char *path, char **text, size_t *bytes)
{
	int status = document_read(path, text, bytes);
	struct slu_reader reader;
	struct slu_site *site;

	if (status != 0) {
		say("sluice-l7: %s: %s", path, strerror(-status));
		return NULL;
	}
	site = slu_load_site(&reader, path, *text, *bytes);
	for (size_t i = 0; i < reader.error_count; i++)
		say("%s", reader.errors[i]);
	slu_reader_close(&reader);
	if (site == NULL) {
		free(*text);
		*text = NULL;
	}
	return site;
}

int slu_supervisor_check(const char *path)
{
	size_t bytes;
	char *text;
	struct slu_site *site = site_load(path, &text, &bytes);

	if (site == NULL)
		return 1;
	slu_site_drop(site);
	free(text);
	return 0;
}

/* -- sockets -- */

static int listen_on(const struct slu_site_address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, status;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (address->any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	/* Inherited by what is accepted. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(fd, &address->any, address->bytes) == 0 && listen(fd, 4096) == 0)
		return fd;
	status = -errno;
	close(fd);
	return status;
}

static struct place *place_find(const char *text)
{
	for (uint32_t i = 0; i < self.place_count; i++)
		if (strcmp(self.places[i].text, text) == 0)
			return &self.places[i];
	return NULL;
}

static struct place *place_add(const char *text)
{
	struct place *place;

	self.places = realloc(self.places, (self.place_count + 1) * sizeof(*self.places));
	if (self.places == NULL)
		abort();
	place = &self.places[self.place_count++];
	memset(place, 0, sizeof(*place));
	snprintf(place->text, sizeof(place->text), "%s", text);
	for (uint32_t i = 0; i < WORKERS_MAX; i++)
		place->fds[i] = -1;
	return place;
}

static void place_close(uint32_t index)
{
	for (uint32_t i = 0; i < WORKERS_MAX; i++)
		if (self.places[index].fds[i] >= 0)
			close(self.places[index].fds[i]);
	self.places[index] = self.places[--self.place_count];
}

/* Closes what the site does not name. */
static void places_trim(const struct slu_site *site)
{
	for (uint32_t i = self.place_count; i-- > 0;) {
		bool wanted = false;

		for (uint32_t n = 0; n < site->listener_count; n++)
			wanted = wanted || strcmp(site->listeners[n].address.text, self.places[i].text) == 0;
		if (!wanted)
			place_close(i);
	}
}

/* Opens what the site needs and is not open. Returns 0; -errno after saying which, with nothing opened. */
static int places_open(const struct slu_site *site)
{
	uint32_t before = self.place_count;

	for (uint32_t n = 0; n < site->listener_count; n++) {
		const struct slu_site_address *address = &site->listeners[n].address;
		struct place *place = place_find(address->text);

		if (place == NULL)
			place = place_add(address->text);
		for (uint32_t i = 0; i < self.workers; i++) {
			if (place->fds[i] < 0)
				place->fds[i] = listen_on(address);
			if (place->fds[i] < 0) {
				int status = place->fds[i];

				place->fds[i] = -1;
				say("sluice-l7: listener %s: %s: %s", site->listeners[n].name, address->text,
					strerror(-status));
				while (self.place_count > before)
					place_close(self.place_count - 1);
				return status;
			}
		}
	}
	return 0;
}

/* What a predecessor left in the environment. */
static void places_inherit(void)
{
	char *all = getenv(INHERITED), *save, *save_fd;

	if (all == NULL)
		return;
	all = strdup(all);
	unsetenv(INHERITED);
	for (char *row = strtok_r(all, ";", &save); row != NULL; row = strtok_r(NULL, ";", &save)) {
		char *equals = strchr(row, '=');
		struct place *place;
		uint32_t i = 0;

		if (equals == NULL)
			continue;
		*equals = '\0';
		place = place_add(row);
		for (char *fd = strtok_r(equals + 1, ",", &save_fd); fd != NULL && i < WORKERS_MAX;
			fd = strtok_r(NULL, ",", &save_fd)) {
			place->fds[i] = atoi(fd);
			fcntl(place->fds[i++], F_SETFD, FD_CLOEXEC);
		}
	}
	free(all);
}

/* -- workers -- */

static void worker_start(uint32_t index)
{
	int pair[2], *fds;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		say("sluice-l7: socketpair: %s", strerror(errno));
		return;
	}
	pid = fork();
	if (pid < 0) {
		say("sluice-l7: fork: %s", strerror(errno));
		close(pair[0]);
		close(pair[1]);
		return;
	}
	if (pid > 0) {
		close(pair[1]);
		self.worker[index] =
			(struct supervised){.pid = pid, .control = pair[0], .started_ms = slu_timer_now_ms()};
		return;
	}
	/* The worker: what is the supervisor's alone goes. When that dies, the end of `control` tells. */
	fds = calloc(self.site->listener_count + 1, sizeof(int));
	if (fds == NULL)
		_exit(1);
	for (uint32_t n = 0; n < self.site->listener_count; n++) {
		struct place *place = place_find(self.site->listeners[n].address.text);

		fds[n] = place->fds[index];
		place->fds[index] = -1;
	}
	for (uint32_t i = self.place_count; i-- > 0;)
		place_close(i);
	for (uint32_t i = 0; i < WORKERS_MAX; i++)
		if (self.worker[i].control > 0)
			close(self.worker[i].control);
	close(pair[0]);
	event_reinit(self.base);
	event_base_free(self.base);
	for (int s = 1; s < 32; s++)
		signal(s, SIG_DFL);
	signal(SIGINT, SIG_IGN); /* of the terminal: the supervisor says what to do */
	signal(SIGHUP, SIG_IGN);
	_exit(slu_worker_run((int)index, self.site, fds, pair[1]));
}

static void tell_all(enum slu_handover_kind kind)
{
	for (uint32_t i = 0; i < self.workers; i++)
		if (self.worker[i].pid > 0)
			slu_handover_send(self.worker[i].control, kind, NULL, 0);
}

static void workers_reload(int document)
{
	for (uint32_t i = 0; i < self.workers; i++) {
		int fds[SLU_HANDOVER_FDS_MAX], count = 0;

		if (self.worker[i].pid <= 0)
			continue;
		for (uint32_t n = 0; n < self.site->listener_count; n++) {
			fds[count++] = place_find(self.site->listeners[n].address.text)->fds[i];
			if (count == SLU_HANDOVER_FDS_MAX) {
				slu_handover_send(self.worker[i].control, SLU_HANDOVER_SOCKETS, fds, count);
				count = 0;
			}
		}
		if (count > 0)
			slu_handover_send(self.worker[i].control, SLU_HANDOVER_SOCKETS, fds, count);
		slu_handover_send(self.worker[i].control, SLU_HANDOVER_DOCUMENT, &document, 1);
	}
}

/* One that died is started again: at once, unless it died at once. */
static void on_restart(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	for (uint32_t i = 0; i < self.workers; i++)
		if (self.worker[i].pid == 0 && !self.ending)
			worker_start(i);
}

static void on_child(evutil_socket_t fd, short what, void *arg)
{
	struct timeval soon = {0};
	int status, left = 0;
	pid_t pid;

	(void)fd;
	(void)what;
	(void)arg;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == self.successor) {
			say("sluice-l7: the new binary ended with status %d; this one goes on", status);
			self.successor = 0;
		}
		for (uint32_t i = 0; i < self.workers; i++) {
			if (self.worker[i].pid != pid)
				continue;
			close(self.worker[i].control);
			if (!self.ending)
				say("sluice-l7: worker %u (%d) ended with %s %d", i, (int)pid,
					WIFSIGNALED(status) ? "signal" : "status",
					WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			if (slu_timer_now_ms() - self.worker[i].started_ms < 1000)
				soon.tv_sec = 1;
			self.worker[i] = (struct supervised){0};
		}
	}
	for (uint32_t i = 0; i < self.workers; i++)
		left += self.worker[i].pid > 0;
	if (self.ending && left == 0)
		event_base_loopbreak(self.base);
	else if (!self.ending)
		evtimer_add(self.restart, &soon);
}

/* -- what an operator asks for -- */

static void end_in_order(void)
{
	self.ending = true;
	tell_all(SLU_HANDOVER_DRAIN);
	while (self.place_count > 0)
		place_close(self.place_count - 1);
	slu_metrics_close(self.metrics);
	self.metrics = NULL;
	on_child(-1, 0, NULL);
}

static void metrics_open(void)
{
	int status;

	slu_metrics_close(self.metrics);
	self.metrics = NULL;
	if (self.site->admin == NULL)
		return;
	status = slu_metrics_open(&self.metrics, self.base, self.site->admin);
	if (status != 0)
		say("sluice-l7: admin %s: %s", self.site->admin, strerror(-status));
}

static void on_reload(evutil_socket_t fd, short what, void *arg)
{
	struct slu_site *site;
	size_t bytes;
	char *text;
	int document;

	(void)fd;
	(void)what;
	(void)arg;
	site = site_load(self.path, &text, &bytes);
	if (site != NULL && site->workers != self.workers)
		say("%s: workers cannot change from %u to %u in a reload; upgrade instead (SIGUSR2)", self.path,
			self.workers, site->workers);
	if (site == NULL || site->workers != self.workers || places_open(site) != 0) {
		say("sluice-l7: reload refused; what was served is served on");
		if (site != NULL)
			slu_site_drop(site);
		free(text);
		return;
	}
	document = memfd_create("site", MFD_CLOEXEC);
	if (document < 0 || write(document, text, bytes) != (ssize_t)bytes) {
		say("sluice-l7: reload: %s", strerror(errno));
		exit(1);
	}
	slu_site_drop(self.site);
	self.site = site;
	workers_reload(document);
	close(document);
	free(text);
	places_trim(site);
	metrics_open();
	say("sluice-l7: reloaded %s", self.path);
}

static void on_reopen(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	tell_all(SLU_HANDOVER_REOPEN);
}

static void on_successor(evutil_socket_t fd, short what, void *arg)
{
	char byte;

	(void)what;
	(void)arg;
	event_free(self.ready);
	self.ready = NULL;
	if (read(fd, &byte, 1) == 1) {
		say("sluice-l7: the new binary (%d) serves; draining", (int)self.successor);
		self.successor = 0;
		end_in_order();
	}
	close(fd);
}

/* The new binary gets the sockets themselves, with whoever waits in them; the old one stops accepting when that serves.
 */
static void on_upgrade(evutil_socket_t signal_fd, short what, void *arg)
{
	static char row[65536];
	size_t at = 0;
	int ready[2];
	char number[16];

	(void)signal_fd;
	(void)what;
	(void)arg;
	if (self.ready != NULL || pipe2(ready, O_CLOEXEC) != 0) {
		say("sluice-l7: an upgrade is under way");
		return;
	}
	self.successor = fork();
	if (self.successor != 0) {
		close(ready[1]);
		self.ready = event_new(self.base, ready[0], EV_READ, on_successor, NULL);
		event_add(self.ready, NULL);
		return;
	}
	for (uint32_t i = 0; i < self.place_count; i++) {
		at += (size_t)snprintf(row + at, sizeof(row) - at, "%s%s=", i ? ";" : "", self.places[i].text);
		for (uint32_t n = 0; n < self.workers && at < sizeof(row); n++) {
			fcntl(self.places[i].fds[n], F_SETFD, 0);
			at += (size_t)snprintf(row + at, sizeof(row) - at, "%s%d", n ? "," : "", self.places[i].fds[n]);
		}
	}
	fcntl(ready[1], F_SETFD, 0);
	snprintf(number, sizeof(number), "%d", ready[1]);
	setenv(INHERITED, row, 1);
	setenv(READY_FD, number, 1);
	for (int s = 1; s < 32; s++)
		signal(s, SIG_DFL);
	execvp(self.argv[0], self.argv);
	_exit(127);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (!self.ending)
		end_in_order();
}

static void on_end_now(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	self.ending = true;
	for (uint32_t i = 0; i < self.workers; i++)
		if (self.worker[i].pid > 0)
			kill(self.worker[i].pid, SIGKILL);
}

/* -- metrics -- */

/* Asks each worker in turn; one that does not answer within a second is left out. */
void slu_metrics_gather(struct slu_counters *sum, uint32_t *workers)
{
	memset(sum, 0, sizeof(*sum));
	*workers = 0;
	for (uint32_t i = 0; i < self.workers; i++) {
		struct slu_counters one;
		struct timeval second = {.tv_sec = 1};
		ssize_t bytes;

		if (self.worker[i].pid <= 0)
			continue;
		setsockopt(self.worker[i].control, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
		while (recv(self.worker[i].control, &one, sizeof(one), MSG_DONTWAIT) > 0)
			; /* an answer that came too late */
		if (slu_handover_send(self.worker[i].control, SLU_HANDOVER_COUNTERS, NULL, 0) != 0)
			continue;
		bytes = recv(self.worker[i].control, &one, sizeof(one), 0);
		if (bytes != (ssize_t)sizeof(one))
			continue;
		for (size_t n = 0; n < sizeof(one) / sizeof(uint64_t); n++)
			((uint64_t *)sum)[n] += ((const uint64_t *)&one)[n];
		(*workers)++;
	}
}

static int signals_take(void)
{
	const struct {
		int signal;
		event_callback_fn run;
	} rows[] = {{SIGCHLD, on_child}, {SIGHUP, on_reload}, {SIGUSR1, on_reopen}, {SIGUSR2, on_upgrade},
		{SIGTERM, on_end}, {SIGQUIT, on_end}, {SIGINT, on_end_now}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		self.signals[i] = evsignal_new(self.base, rows[i].signal, rows[i].run, NULL);
		if (self.signals[i] == NULL || event_add(self.signals[i], NULL) != 0)
			return -ENOMEM;
	}
	self.restart = evtimer_new(self.base, on_restart, NULL);
	return self.restart != NULL ? 0 : -ENOMEM;
}

/* Tells a predecessor that this one serves. */
static void tell_ready(void)
{
	const char *number = getenv(READY_FD);
	int fd = number != NULL ? atoi(number) : -1;

	unsetenv(READY_FD);
	if (fd >= 0 && write(fd, "1", 1) == 1)
		close(fd);
}

int slu_supervisor_run(const char *path, char **argv)
{
	self.path = path;
	self.argv = argv;
	signal(SIGPIPE, SIG_IGN);
	self.site = site_load(path, &self.document, &self.document_bytes);
	if (self.site == NULL)
		return 1;
	free(self.document);
	self.workers = self.site->workers;
	self.base = event_base_new();
	if (self.base == NULL || signals_take() != 0)
		return 1;
	places_inherit();
	if (places_open(self.site) != 0)
		return 1;
	places_trim(self.site);
	for (uint32_t i = 0; i < self.workers; i++)
		worker_start(i);
	metrics_open();
	say("sluice-l7: serving %u listeners with %u workers", self.site->listener_count, self.workers);
	tell_ready();
	event_base_dispatch(self.base);
	return 0;
}
