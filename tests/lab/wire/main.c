/* wire: cables between interfaces of one namespace, made bad on request. See README.md. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/lab/line.h"
#include "tests/lab/wire/cable.h"

#define CABLES_MAX 64

static const char USAGE[] =
	"usage: wire run SOCKET SEED NAME=A,B ...      cables between interfaces A and B\n"
	"       wire tell SOCKET set NAME ab|ba|both KEY=VALUE ...\n"
	"       wire tell SOCKET clear NAME|all\n"
	"       wire tell SOCKET stats\n"
	"keys: cut, mcast_cut (0, 1), delay_us, jitter_us, loss_ppm, twice_ppm, late_ppm, late_us\n";

static struct wire_cable cables[CABLES_MAX];
static int cable_count;
static volatile sig_atomic_t ended;

static const struct {
	const char *name;
	size_t offset;
} KEYS[] = {
	{"cut", offsetof(struct wire_harm, cut)},
	{"mcast_cut", offsetof(struct wire_harm, mcast_cut)},
	{"delay_us", offsetof(struct wire_harm, delay_us)},
	{"jitter_us", offsetof(struct wire_harm, jitter_us)},
	{"loss_ppm", offsetof(struct wire_harm, loss_ppm)},
	{"twice_ppm", offsetof(struct wire_harm, twice_ppm)},
	{"late_ppm", offsetof(struct wire_harm, late_ppm)},
	{"late_us", offsetof(struct wire_harm, late_us)},
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static struct wire_cable *find(const char *name)
{
	int i;

	for (i = 0; i < cable_count; i++)
		if (strcmp(cables[i].name, name) == 0)
			return &cables[i];
	return NULL;
}

static bool set_key(struct wire_harm *harm, const char *text)
{
	const char *value = strchr(text, '=');
	unsigned int i;
	char *end;

	for (i = 0; value != NULL && i < sizeof(KEYS) / sizeof(KEYS[0]); i++)
		if (strlen(KEYS[i].name) == (size_t)(value - text) &&
			strncmp(KEYS[i].name, text, (size_t)(value - text)) == 0) {
			*(uint32_t *)((char *)harm + KEYS[i].offset) = (uint32_t)strtoul(value + 1, &end, 10);
			return value[1] >= '0' && value[1] <= '9' && *end == '\0';
		}
	return false;
}

/* All keys of a direction are replaced: what is not named is zero. */
static void set(FILE *out)
{
	const char *name = strtok(NULL, " "), *way = strtok(NULL, " "), *key;
	struct wire_cable *cable = name != NULL ? find(name) : NULL;
	struct wire_harm harm = {0};

	if (cable == NULL || way == NULL ||
		(strcmp(way, "ab") != 0 && strcmp(way, "ba") != 0 && strcmp(way, "both") != 0)) {
		fprintf(out, "error: no such cable or direction\n");
		return;
	}
	while ((key = strtok(NULL, " ")) != NULL)
		if (!set_key(&harm, key)) {
			fprintf(out, "error: %s: unknown key, or no number\n", key);
			return;
		}
	if (strcmp(way, "ba") != 0)
		cable->way[0].harm = harm;
	if (strcmp(way, "ab") != 0)
		cable->way[1].harm = harm;
}

static void clear(FILE *out)
{
	const char *name = strtok(NULL, " ");
	int i, way, done = 0;

	for (i = 0; name != NULL && i < cable_count; i++) {
		if (strcmp(name, "all") != 0 && strcmp(name, cables[i].name) != 0)
			continue;
		for (way = 0; way < 2; way++)
			cables[i].way[way].harm = (struct wire_harm){0};
		done++;
	}
	if (done == 0)
		fprintf(out, "error: no such cable\n");
}

static void print_stats(FILE *out)
{
	const struct wire_stats *s;
	int i, way;

	fprintf(out, "{");
	for (i = 0; i < cable_count; i++)
		for (way = 0; way < 2; way++) {
			s = &cables[i].way[way].stats;
			fprintf(out,
				"%s\"%s %s\": {\"frames\": %llu, \"lost\": %llu, \"twice\": %llu, \"late\": %llu, "
				"\"delayed\": %llu, \"overflow\": %llu}",
				i + way > 0 ? ",\n" : "", cables[i].name, way == 0 ? "ab" : "ba",
				(unsigned long long)s->frames, (unsigned long long)s->lost,
				(unsigned long long)s->twice, (unsigned long long)s->late,
				(unsigned long long)s->delayed, (unsigned long long)s->overflow);
		}
	fprintf(out, "}\n");
}

static void obey(char *line, FILE *out)
{
	const char *verb = strtok(line, " ");

	if (verb != NULL && strcmp(verb, "set") == 0)
		set(out);
	else if (verb != NULL && strcmp(verb, "clear") == 0)
		clear(out);
	else if (verb != NULL && strcmp(verb, "stats") == 0)
		print_stats(out);
	else
		fprintf(out, "error: unknown here: %s\n", verb != NULL ? verb : "");
}

static void carry(int control)
{
	struct pollfd fds[2 * CABLES_MAX + 1];
	uint64_t due, next;
	struct timespec wait;
	int i;

	for (i = 0; i < 2 * cable_count; i++)
		fds[i] = (struct pollfd){.fd = cables[i / 2].way[i % 2].in, .events = POLLIN};
	fds[i] = (struct pollfd){.fd = control, .events = POLLIN};
	while (!ended) {
		for (i = 0, due = UINT64_MAX; i < 2 * cable_count; i++) {
			next = wire_cable_release(&cables[i / 2].way[i % 2], now_us());
			due = next < due ? next : due;
		}
		next = now_us();
		next = due == UINT64_MAX ? 1000000 : due > next ? due - next : 0;
		wait = (struct timespec){.tv_sec = (time_t)(next / 1000000), .tv_nsec = (long)(next % 1000000) * 1000};
		if (ppoll(fds, (nfds_t)(2 * cable_count + 1), &wait, NULL) <= 0)
			continue;
		for (i = 0; i < 2 * cable_count; i++)
			if (fds[i].revents != 0)
				wire_cable_receive(&cables[i / 2].way[i % 2], now_us());
		if (fds[i].revents != 0)
			lab_line_serve(control, obey);
	}
}

static void on_signal(int signal)
{
	(void)signal;
	ended = 1;
}

static int add_cable(char *text)
{
	char *name = strtok(text, "="), *a = strtok(NULL, ","), *b = strtok(NULL, "");
	int result;

	if (cable_count == CABLES_MAX || name == NULL || a == NULL || b == NULL)
		return -EINVAL;
	result = wire_cable_open(&cables[cable_count], name, a, b);
	cable_count += result == 0;
	return result;
}

static int run(int argc, char **argv)
{
	int i, result, control;

	wire_cable_seed(strtoull(argv[1], NULL, 10));
	for (i = 2; i < argc; i++) {
		result = add_cable(argv[i]);
		if (result < 0) {
			fprintf(stderr, "wire: %s: %s\n", argv[i], strerror(-result));
			return 1;
		}
	}
	control = lab_line_listen(argv[0]);
	if (control < 0) {
		fprintf(stderr, "wire: %s: %s\n", argv[0], strerror(-control));
		return 1;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	carry(control);
	unlink(argv[0]);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 4 && strcmp(argv[1], "run") == 0)
		return run(argc - 2, argv + 2);
	if (argc > 3 && strcmp(argv[1], "tell") == 0)
		return lab_line_tell(argv[2], argv + 3, argc - 3);
	fputs(USAGE, stderr);
	return 2;
}
