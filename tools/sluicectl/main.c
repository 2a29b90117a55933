/*
 * sluicectl: shows and changes what the agent does, through its API.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "tools/sluicectl/http.h"
#include "tools/sluicectl/show.h"
#include "tools/sluicectl/sum.h"

#define DEFAULT_SOCKET "/run/sluice/api.sock"
#define DOCUMENT_MAX (16u << 20) /* the agent's own limit is lower, and it says so */
#define POLL_MS 250              /* between looks at a node that drains */
#define PAGE 1000ull             /* sessions asked for at once */

enum exit_code { DONE = 0, REFUSED = 1, USAGE = 2, UNREACHABLE = 3, STILL_BUSY = 4, NOT_ANNOUNCED = 4 };

struct options {
	const char *socket;
	bool json, dry_run;
	const char *listener, *client, *backend;
	unsigned long long limit; /* of sessions; 0: all */
	bool count;               /* sessions, instead of showing them */
	unsigned long long wait_s;
};

static const char usage_text[] =
	"usage: sluicectl [-s SOCKET] [--json] COMMAND\n"
	"\n"
	"  listeners              addresses and ports that are served, with their traffic\n"
	"  groups                 groups of backends\n"
	"  backends               backends with weight, health and traffic\n"
	"  sessions [--listener NAME] [--client ADDRESS[/BITS]] [--backend [GROUP/]NAME] [--limit N | --count]\n"
	"                         sessions; for each direction who forwards it, with packets and bytes\n"
	"  outbound               NAT gateways (SNAT) and one-to-one addresses (EIP), with their traffic\n"
	"  metering               what was forwarded for each of both, ever, by scope and direction\n"
	"  metering sum FILE...   the same of a cluster: FILEs have what metering --json said on its nodes (\"-\": "
	"standard input)\n"
	"  card                   the offloading card\n"
	"  ports                  network ports\n"
	"  stats                  every counter\n"
	"  generation             the configuration in force\n"
	"  version                build of the agent that answers\n"
	"  config                 the whole document in force, as JSON\n"
	"  apply FILE [--dry-run] put a document in force (\"-\" reads standard input)\n"
	"  weight GROUP BACKEND N change one weight; 0 drains\n"
	"  cluster                members, who owns and announces what\n"
	"  cluster apply FILE [--dry-run]\n"
	"                         put groups, listeners, snat, eip and metering in force on every node, through etcd\n"
	"  cluster config         what of the document in force is the whole cluster's: what cluster apply takes\n"
	"  node                   this node's place in it\n"
	"  node announces         exit status 0 if it is announced, 4 while it joins or is drained (for scripts)\n"
	"  node drain [--wait SECONDS]\n"
	"                         withdraw this node's routes; wait until no session sees traffic here\n"
	"  node undrain           announce them again\n"
	"\n"
	"  -s, --socket SOCKET    of the agent (SLUICE_SOCKET, else " DEFAULT_SOCKET ")\n"
	"  --json                 JSON for programs\n"
	"\n"
	"exit status: 0 done, 1 refused, 2 wrong usage, 3 the agent cannot be reached,\n"
	"4 sessions still see traffic here, or the node is not announced\n";

static enum exit_code wrong_usage(const char *what, const char *which)
{
	fprintf(stderr, "sluicectl: %s%s%s\n%s", what, which[0] ? ": " : "", which, usage_text);
	return USAGE;
}

/* Prints why the agent refused; `file` stands for the document's name. */
static enum exit_code refused(const struct slu_http_answer *answer, const json_t *root, const char *file)
{
	const json_t *errors = json_object_get(root, "errors"), *error;
	const char *text = json_string_value(json_object_get(root, "error"));
	size_t i;

	json_array_foreach(errors, i, error)
	{
		json_int_t line = json_integer_value(json_object_get(error, "line"));
		const char *path = json_string_value(json_object_get(error, "path"));
		const char *rule = json_string_value(json_object_get(error, "rule"));

		fprintf(stderr, "%s:", file);
		if (line > 0)
			fprintf(stderr, "%" JSON_INTEGER_FORMAT ":%" JSON_INTEGER_FORMAT, line,
				json_integer_value(json_object_get(error, "column")));
		fprintf(stderr, "%s%s%s%s\n", path && path[0] ? " " : "", path ? path : "",
			line > 0 || (path && path[0]) ? ": " : " ", rule ? rule : "?");
	}
	if (text != NULL)
		fprintf(stderr, "sluicectl: %s\n", text);
	else
		fprintf(stderr, "sluicectl: the agent answered with status %d\n", answer->status);
	return REFUSED;
}

/* One request. On DONE *root is the answer, owned by the caller. Tells what is wrong otherwise. */
static enum exit_code call(const struct options *options, const char *method, const char *target, const void *body,
	size_t bytes, const char *file, json_t **root)
{
	struct slu_http_answer answer;
	int connected, ret = slu_http_call(options->socket, method, target, body, bytes, &answer, &connected);
	enum exit_code code = DONE;
	json_error_t error;

	*root = NULL;
	if (ret != 0) {
		fprintf(stderr, "sluicectl: %s: %s\n", options->socket,
			ret == -EPROTO ? "what answers does not speak HTTP, or stopped in the middle" : strerror(-ret));
		return connected ? REFUSED : UNREACHABLE;
	}
	*root = json_loadb(answer.body, answer.bytes, 0, &error);
	if (answer.status != 200) {
		code = refused(&answer, *root, file);
	} else if (*root == NULL) {
		fprintf(stderr, "sluicectl: the answer is no JSON: %s\n", error.text);
		code = REFUSED;
	}
	if (code != DONE) {
		json_decref(*root);
		*root = NULL;
	}
	free(answer.body);
	return code;
}

static void print_json(const json_t *root)
{
	json_dumpf(root, stdout, JSON_INDENT(1));
	putchar('\n');
}

/* Shows one resource. */
static enum exit_code show(const struct options *options, const char *target, void (*print)(const json_t *answer))
{
	json_t *root;
	enum exit_code code = call(options, "GET", target, NULL, 0, "", &root);

	if (code != DONE)
		return code;
	if (options->json)
		print_json(root);
	else
		print(root);
	json_decref(root);
	return DONE;
}

/* Appends "&key=value", percent-encoded. */
static void add_parameter(char *target, size_t room, const char *key, const char *value)
{
	size_t at = strlen(target);

	at += (size_t)snprintf(target + at, room - at, "&%s=", key);
	for (; *value != '\0' && at + 4 < room; value++) {
		bool plain =
			strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", *value) != NULL;

		at += (size_t)snprintf(target + at, room - at, plain ? "%c" : "%%%02X", (unsigned char)*value);
	}
}

static void sessions_target(
	const struct options *options, const char *cursor, unsigned long long left, char target[1024])
{
	snprintf(target, 1024, "/v1/sessions?limit=%llu", options->limit != 0 && left < PAGE ? left : PAGE);
	add_parameter(target, 1024, "cursor", cursor);
	if (options->count)
		add_parameter(target, 1024, "count", "1");
	if (options->listener != NULL)
		add_parameter(target, 1024, "listener", options->listener);
	if (options->client != NULL)
		add_parameter(target, 1024, "client", options->client);
	if (options->backend != NULL)
		add_parameter(target, 1024, "backend", options->backend);
}

/* Prints a page of sessions as members of a JSON list that is under way. */
static void print_members(const json_t *list, bool *first)
{
	const json_t *session;
	size_t i;

	json_array_foreach(list, i, session)
	{
		printf("%s", *first ? "" : ",\n");
		json_dumpf(session, stdout, JSON_COMPACT);
		*first = false;
	}
}

/* Page by page, so that ten million sessions never are in memory at once (as JSON; a table needs its widths). */
static enum exit_code show_sessions(const struct options *options)
{
	unsigned long long left = options->limit;
	json_t *all = json_array();
	char cursor[32] = "0", target[1024];
	enum exit_code code = DONE;
	bool more = true, first = true;
	bool opened = false;

	while (more && code == DONE && (options->limit == 0 || left > 0)) {
		const json_t *list;
		const char *next;
		json_t *root;

		sessions_target(options, cursor, left, target);
		code = call(options, "GET", target, NULL, 0, "", &root);
		if (code != DONE)
			break;
		if (options->json && !opened)
			printf("{\"sessions\":[");
		opened = true;
		list = json_object_get(root, "sessions");
		left -= json_array_size(list) < left ? json_array_size(list) : left;
		if (options->json)
			print_members(list, &first);
		else
			json_array_extend(all, (json_t *)list);
		next = json_string_value(json_object_get(root, "next_cursor"));
		more = next != NULL;
		if (more)
			snprintf(cursor, sizeof(cursor), "%s", next);
		json_decref(root);
	}
	if (code == DONE && options->json)
		printf("]}\n");
	else if (code == DONE)
		slu_show_sessions(all);
	json_decref(all);
	return code;
}

static enum exit_code count_sessions(const struct options *options)
{
	char target[1024];
	json_t *root;
	enum exit_code code;

	sessions_target(options, "0", 0, target);
	code = call(options, "GET", target, NULL, 0, "", &root);
	if (code != DONE)
		return code;
	if (options->json)
		json_dumpf(root, stdout, JSON_COMPACT);
	else
		printf("%lld", (long long)json_integer_value(json_object_get(root, "count")));
	putchar('\n');
	json_decref(root);
	return DONE;
}

static enum exit_code sessions(const struct options *options)
{
	if (options->count && options->limit != 0)
		return wrong_usage("--limit and --count exclude each other", "");
	return options->count ? count_sessions(options) : show_sessions(options);
}

static char *read_document(const char *path, size_t *bytes)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char *text = malloc(DOCUMENT_MAX + 1);

	*bytes = 0;
	if (file == NULL || text == NULL) {
		fprintf(stderr, "sluicectl: %s: %s\n", path, strerror(errno));
		free(text);
		return NULL;
	}
	*bytes = fread(text, 1, DOCUMENT_MAX, file);
	if (ferror(file)) {
		fprintf(stderr, "sluicectl: %s: %s\n", path, strerror(errno));
		free(text);
		text = NULL;
	}
	if (file != stdin)
		fclose(file);
	return text;
}

static enum exit_code change(const struct options *options, const char *method, const char *target, const void *body,
	size_t bytes, const char *file)
{
	json_t *root;
	enum exit_code code = call(options, method, target, body, bytes, file, &root);

	if (code != DONE)
		return code;
	if (options->json)
		print_json(root);
	else
		slu_show_changes(root);
	json_decref(root);
	return DONE;
}

static enum exit_code apply(const struct options *options, const char *resource, const char *path)
{
	char target[64];
	enum exit_code code;
	size_t bytes;
	char *text = read_document(path, &bytes);

	if (text == NULL)
		return USAGE;
	snprintf(target, sizeof(target), "%s%s", resource, options->dry_run ? "?dry_run=1" : "");
	code = change(options, "POST", target, text, bytes, strcmp(path, "-") == 0 ? "stdin" : path);
	free(text);
	return code;
}

static bool is_name(const char *text)
{
	return text[0] != '\0' &&
	       text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._")] == '\0';
}

static enum exit_code set_weight(const struct options *options, char *const *arguments)
{
	char target[512], body[64];

	if (!is_name(arguments[0]) || !is_name(arguments[1]) || strlen(arguments[0]) > 200 ||
		strlen(arguments[1]) > 200)
		return wrong_usage("a name has letters, digits, '.', '_' and '-'", "");
	if (arguments[2][0] == '\0' || strlen(arguments[2]) > 9 ||
		strspn(arguments[2], "0123456789") != strlen(arguments[2]))
		return wrong_usage("a weight is a number", arguments[2]);
	snprintf(target, sizeof(target), "/v1/groups/%s/backends/%s/weight", arguments[0], arguments[1]);
	snprintf(body, sizeof(body), "{\"weight\": %ld}", strtol(arguments[2], NULL, 10));
	return change(options, "PUT", target, body, strlen(body), "document");
}

/* Asks until the node has given everything away and no session saw traffic here for a second. */
static enum exit_code wait_for_drain(const struct options *options, json_t **root)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000};
	enum exit_code code = DONE;

	for (unsigned long long turn = 0; turn <= options->wait_s * 1000 / POLL_MS && code == DONE; turn++) {
		json_decref(*root);
		code = call(options, "GET", "/v1/node", NULL, 0, "", root);
		if (code != DONE || !json_is_true(json_object_get(*root, "drained")) ||
			(json_is_false(json_object_get(*root, "owns")) &&
				json_is_true(json_object_get(*root, "busy_known")) &&
				json_integer_value(json_object_get(*root, "busy_sessions")) == 0))
			return code;
		nanosleep(&pause, NULL);
	}
	if (code == DONE)
		fprintf(stderr, "sluicectl: after %llu s sessions still see traffic here\n", options->wait_s);
	return code == DONE ? STILL_BUSY : code;
}

/* What Keepalived's track script asks. */
static enum exit_code node_announces(const struct options *options)
{
	json_t *root;
	enum exit_code code = call(options, "GET", "/v1/node", NULL, 0, "", &root);
	bool announces;

	if (code != DONE)
		return code;
	announces = json_is_true(json_object_get(root, "announces"));
	puts(announces ? "announced" : "not announced");
	json_decref(root);
	return announces ? DONE : NOT_ANNOUNCED;
}

static enum exit_code change_node(const struct options *options, const char *what)
{
	bool drain = strcmp(what, "drain") == 0;
	enum exit_code code, waited = DONE;
	json_t *root;

	if (!drain && strcmp(what, "undrain") != 0)
		return wrong_usage("node takes announces, drain or undrain", what);
	code = call(options, "POST", drain ? "/v1/node/drain" : "/v1/node/undrain", "", 0, "", &root);
	if (code == DONE && drain && options->wait_s > 0)
		waited = wait_for_drain(options, &root);
	if (root == NULL)
		return code != DONE ? code : waited;
	if (options->json)
		print_json(root);
	else
		slu_show_node(root);
	json_decref(root);
	return waited;
}

/* Adds every answer of a file, one behind the other. Tells what is wrong. */
static bool sum_file(json_t *sum, const char *path)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	const char *why = NULL;
	json_error_t error;
	bool ok = file != NULL, more = false;

	if (!ok)
		fprintf(stderr, "sluicectl: %s: %s\n", path, strerror(errno));
	while (ok) {
		int next = getc(file);
		json_t *answer;

		if (next == EOF)
			break;
		if (strchr(" \t\r\n", next) != NULL)
			continue;
		ungetc(next, file);
		answer = json_loadf(file, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &error);
		ok = answer != NULL && slu_sum_add(sum, answer, &why);
		if (!ok)
			fprintf(stderr, "sluicectl: %s: %s\n", path, answer != NULL ? why : error.text);
		json_decref(answer);
		more = true;
	}
	if (ok && !more)
		fprintf(stderr, "sluicectl: %s: is empty\n", path);
	if (file != NULL && file != stdin)
		fclose(file);
	return ok && more;
}

static enum exit_code sum_metering(const struct options *options, int count, char *const *paths)
{
	json_t *sum = json_object();
	bool ok = true;

	for (int i = 0; i < count && ok; i++)
		ok = sum_file(sum, paths[i]);
	if (ok && options->json)
		print_json(sum);
	else if (ok)
		slu_show_metering(sum);
	json_decref(sum);
	return ok ? DONE : REFUSED;
}

static enum exit_code run_cluster(const struct options *options, int count, char *const *arguments)
{
	if (count == 0)
		return show(options, "/v1/cluster", slu_show_cluster);
	if (strcmp(arguments[0], "config") == 0 && count == 1)
		return show(options, "/v1/cluster/config", print_json);
	if (strcmp(arguments[0], "apply") != 0)
		return wrong_usage("cluster takes apply or config", arguments[0]);
	return count == 2 ? apply(options, "/v1/cluster/config", arguments[1])
			  : wrong_usage("cluster apply takes one file", "");
}

static enum exit_code run(const struct options *options, int count, char *const *arguments)
{
	static const struct {
		const char *name, *target;
		void (*print)(const json_t *answer);
	} plain[] = {
		{"listeners", "/v1/listeners", slu_show_listeners},
		{"groups", "/v1/groups", slu_show_groups},
		{"backends", "/v1/backends", slu_show_backends},
		{"outbound", "/v1/outbound", slu_show_outbound},
		{"metering", "/v1/metering", slu_show_metering},
		{"card", "/v1/card", slu_show_fields},
		{"ports", "/v1/ports", slu_show_fields},
		{"stats", "/v1/stats", slu_show_fields},
		{"generation", "/v1/generation", slu_show_fields},
		{"version", "/v1/node", slu_show_version},
		{"config", "/v1/config", print_json},
	};

	if (count == 0)
		return wrong_usage("a command is missing", "");
	if (strcmp(arguments[0], "metering") == 0 && count > 1 && strcmp(arguments[1], "sum") == 0)
		return count > 2 ? sum_metering(options, count - 2, arguments + 2)
				 : wrong_usage("metering sum takes files", "");
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (strcmp(arguments[0], plain[i].name) == 0)
			return count == 1 ? show(options, plain[i].target, plain[i].print)
					  : wrong_usage("too many arguments", arguments[1]);
	if (strcmp(arguments[0], "sessions") == 0)
		return count > 1 ? wrong_usage("too many arguments", arguments[1]) : sessions(options);
	if (strcmp(arguments[0], "apply") == 0)
		return count == 2 ? apply(options, "/v1/config", arguments[1])
				  : wrong_usage("apply takes one file", "");
	if (strcmp(arguments[0], "weight") == 0)
		return count == 4 ? set_weight(options, arguments + 1)
				  : wrong_usage("weight takes GROUP BACKEND N", "");
	if (strcmp(arguments[0], "cluster") == 0)
		return run_cluster(options, count - 1, arguments + 1);
	if (strcmp(arguments[0], "node") == 0 && count == 1)
		return show(options, "/v1/node", slu_show_node);
	if (strcmp(arguments[0], "node") == 0 && count == 2 && strcmp(arguments[1], "announces") == 0)
		return node_announces(options);
	if (strcmp(arguments[0], "node") == 0)
		return count == 2 ? change_node(options, arguments[1])
				  : wrong_usage("too many arguments", arguments[2]);
	return wrong_usage("unknown command", arguments[0]);
}

static bool read_positive(const char *text, unsigned long long *limit)
{
	if (text[0] == '\0' || strlen(text) > 12 || strspn(text, "0123456789") != strlen(text))
		return false;
	*limit = strtoull(text, NULL, 10);
	return *limit > 0;
}

int main(int argc, char **argv)
{
	static const struct option known[] = {{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'}, {"dry-run", no_argument, NULL, 'n'},
		{"listener", required_argument, NULL, 'l'}, {"client", required_argument, NULL, 'c'},
		{"backend", required_argument, NULL, 'b'}, {"limit", required_argument, NULL, 'm'},
		{"count", no_argument, NULL, 'C'}, {"wait", required_argument, NULL, 'w'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	const char *from_environment = getenv("SLUICE_SOCKET");
	struct options options = {.socket = from_environment != NULL ? from_environment : DEFAULT_SOCKET};
	enum exit_code code;
	int option;

	while ((option = getopt_long(argc, argv, "s:jh", known, NULL)) != -1) {
		switch (option) {
		case 's':
			options.socket = optarg;
			break;
		case 'j':
			options.json = true;
			break;
		case 'n':
			options.dry_run = true;
			break;
		case 'l':
			options.listener = optarg;
			break;
		case 'c':
			options.client = optarg;
			break;
		case 'b':
			options.backend = optarg;
			break;
		case 'm':
			if (!read_positive(optarg, &options.limit))
				return wrong_usage("--limit takes a positive number", optarg);
			break;
		case 'C':
			options.count = true;
			break;
		case 'w':
			if (!read_positive(optarg, &options.wait_s))
				return wrong_usage("--wait takes a positive number", optarg);
			break;
		case 'h':
			fputs(usage_text, stdout);
			return DONE;
		default:
			fputs(usage_text, stderr);
			return USAGE;
		}
	}
	code = run(&options, argc - optind, argv + optind);
	if (fflush(stdout) != 0 && code == DONE)
		code = REFUSED;
	return code;
}
