/*
 * The configuration document: what is accepted, and every error of what is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/config/config.h"
#include "host/config/document.h"
#include "host/config/memory.h"
#include "host/control/ip.h"

#define ERRORS_MAX 12

/* Lines 1 to 4 of most documents; what a row adds begins in line 5. */
#define VERSION "version: 1\n"
#define PORTS "ports: [{name: p0, device: d0, tap: t0, addresses: [198.18.1.2/24]}]\n"
#define LOCALS "local_addresses: [198.18.2.100]\n"
#define GROUPS "groups: [{name: web, backends: [{name: b1, address: 198.18.2.11, port: 80}]}]\n"
#define HEAD VERSION PORTS LOCALS GROUPS
#define LISTENER "{name: l1, address: 198.18.1.100, protocol: tcp, ports: 80, group: web}"

/* A cluster of two; rows add keys, or replace the members. */
#define SELF "cluster:\n  id: 1\n  interface: sync0\n  address: 198.18.9.1\n  local_prefixes: [198.18.2.0/24]\n"
#define MEMBER1 "{id: 1, name: n1, address: 198.18.9.1, local_prefixes: [198.18.2.0/24]}"
#define MEMBER2 "{id: 2, name: n2, address: 198.18.9.2, local_prefixes: [198.18.3.0/24]}"
#define MEMBERS "  members:\n  - " MEMBER1 "\n  - " MEMBER2 "\n"

struct row {
	const char *name; /* a sentence */
	const char *text;
	const char *errors[ERRORS_MAX + 1];
};

static const struct row bad[] = {
	{"empty_document__is_refused", "", {"doc:1:1: the document is empty"}},
	{"broken_syntax__is_one_error_at_its_place", "version: 1\nports: [}\n",
		{"doc:2:9: YAML syntax: did not find expected node content, while parsing a flow node"}},
	{"bytes_that_are_no_text__are_refused", "version: 1\n\xff\xfe\n",
		{"doc:2:1: no valid UTF-8 text: invalid leading UTF-8 octet"}},
	{"two_documents__are_refused", HEAD "---\nversion: 1\n", {"doc:5:1: only one document is accepted"}},
	{"aliases__are_refused", HEAD "node: &a x\napi: *a\n",
		{"doc:5:7: anchors (&) are not accepted", "doc:6:6: aliases (*) are not accepted"}},
	{"tags__are_refused", HEAD "node: !!binary x\n", {"doc:5:7: tags (!) are not accepted"}},
	{"deep_nesting__is_refused", "version: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]\n",
		{"doc:1:25: nested deeper than 16"}},
	{"list_instead_of_document__is_refused", "- 1\n", {"doc:1:1: must be a mapping of keys to values"}},
	{"missing_keys__are_each_named", "node: x\n",
		{"doc:1:1: key ports is missing", "doc:1:1: key version is missing"}},
	{"unknown_version__is_refused", "version: 2\n" PORTS, {"doc:1:10 version: this program reads version 1 only"}},
	{"unknown_key__names_the_nearest_known", HEAD "listners: []\n",
		{"doc:5:1 listners: unknown key; did you mean listeners?"}},
	{"unknown_key_like_nothing__lists_the_known", HEAD "listeners: [{colour: red}]\n",
		{"doc:5:13 listeners[0]: key address is missing", "doc:5:13 listeners[0]: key group is missing",
			"doc:5:13 listeners[0]: key name is missing", "doc:5:13 listeners[0]: key ports is missing",
			"doc:5:13 listeners[0]: key protocol is missing",
			"doc:5:14 listeners[0].colour: unknown key; known here: name, address, protocol, ports, mode, "
			"client_address, vpc, "
			"group, offload, max_sessions, timeouts"}},
	{"key_given_twice__is_refused", HEAD "node: a\nnode: b\n", {"doc:6:1 node: key given twice, first in line 5"}},
	{"number_out_of_range__is_refused", HEAD "workers: 17\n",
		{"doc:5:10 workers: 17 is out of range, must be 1..16"}},
	{"number_with_letters__is_refused", HEAD "workers: 2x\n",
		{"doc:5:10 workers: must be a whole number 1..16, not \"2x\""}},
	{"negative_number__is_refused", HEAD "workers: -1\n",
		{"doc:5:10 workers: must be a whole number 1..16, not \"-1\""}},
	{"number_beyond_64_bits__is_refused", HEAD "sessions: 99999999999999999999999\n",
		{"doc:5:11 sessions: 99999999999999999999999 is out of range, must be 1024..268435456"}},
	{"list_instead_of_value__is_refused", HEAD "workers: [1]\n", {"doc:5:10 workers: must be a single value"}},
	{"value_instead_of_list__is_refused", HEAD "listeners: none\n", {"doc:5:12 listeners: must be a list"}},
	{"relative_path__is_refused", HEAD "state_dir: var/lib\n", {"doc:5:12 state_dir: must be an absolute path"}},
	{"name_with_a_slash__is_refused", HEAD "node: a/b\n",
		{"doc:5:7 node: a name has 1 to 63 letters, digits, '.', '_' or '-' and begins with a letter or "
		 "digit"}},
	{"no_ports__are_refused", VERSION "ports: []\n", {"doc:2:8 ports: at least one port is needed"}},
	{"prefix_too_long__is_refused",
		VERSION "ports: [{name: p0, device: d0, tap: t0, addresses: [198.18.1.2/33]}]\n",
		{"doc:2:53 ports[0].addresses[0]: the prefix of an IPv4 address has 1..32 bits"}},
	{"address_without_prefix__is_refused",
		VERSION "ports: [{name: p0, device: d0, tap: t0, addresses: [198.18.1.2]}]\n",
		{"doc:2:53 ports[0].addresses[0]: must be an address with the length of its prefix, as in "
		 "198.18.1.2/24"}},
	{"network_address_of_a_port__is_refused",
		VERSION "ports: [{name: p0, device: d0, tap: t0, addresses: [198.18.1.0/24]}]\n",
		{"doc:2:53 ports[0].addresses[0]: is the network address of the network of port p0"}},
	{"same_port_name_tap_and_index__are_each_named",
		VERSION "ports: [{name: p, device: d, tap: t}, {name: p, device: d, tap: t}]\n",
		{"doc:2:46 ports[1].name: \"p\" is taken by ports[0] already",
			"doc:2:39 ports[1].index: index 0 of this device is ports[0] already",
			"doc:2:65 ports[1].tap: \"t\" is taken by ports[0] already"}},
	{"one_device_with_two_arguments__is_refused",
		VERSION
		"ports: [{name: p, device: \"d,a=1\", tap: t}, {name: q, device: \"d,a=2\", index: 1, tap: u}]\n",
		{"doc:2:63 ports[1].device: ports[0] names the same device with other arguments"}},
	{"interface_name_too_long__is_refused", VERSION "ports: [{name: p, device: d, tap: a123456789012345}]\n",
		{"doc:2:35 ports[0].tap: an interface name has at most 15 characters"}},
	{"reserved_addresses__are_each_refused",
		VERSION PORTS
		"local_addresses: [127.0.0.1, 224.0.0.1, 255.255.255.255, 0.1.2.3, \"::1\", \"fe80::1\", \"ff02::1\", "
		"\"::ffff:1.2.3.4\", \"::\", x]\n",
		{"doc:3:19 local_addresses[0]: 127.0.0.1 is a loopback address",
			"doc:3:30 local_addresses[1]: 224.0.0.1 is a multicast address",
			"doc:3:41 local_addresses[2]: 255.255.255.255 is in 240.0.0.0/4, which is reserved",
			"doc:3:58 local_addresses[3]: 0.1.2.3 is in 0.0.0.0/8, which is no host",
			"doc:3:67 local_addresses[4]: ::1 is a loopback address",
			"doc:3:74 local_addresses[5]: fe80::1 is a link-local address",
			"doc:3:85 local_addresses[6]: ff02::1 is a multicast address",
			"doc:3:96 local_addresses[7]: ::ffff:1.2.3.4 is an IPv4-mapped address; write it as IPv4",
			"doc:3:114 local_addresses[8]: :: is the unspecified address",
			"doc:3:120 local_addresses[9]: \"x\" is no IPv4 or IPv6 address"}},
	{"snat_without_keys__names_each", HEAD "snat: [{}]\n",
		{"doc:5:8 snat[0]: key addresses is missing", "doc:5:8 snat[0]: key name is missing",
			"doc:5:8 snat[0]: key sources is missing"}},
	{"snat_source_with_host_bits__is_refused",
		HEAD "snat: [{name: n, sources: [198.18.2.1/24], addresses: [198.18.1.150]}]\n",
		{"doc:5:28 snat[0].sources[0]: has bits behind the prefix; its network is 198.18.2.0/24"}},
	{"snat_without_sources_or_addresses__is_refused", HEAD "snat: [{name: n, sources: [], addresses: []}]\n",
		{"doc:5:27 snat[0].sources: at least one prefix is needed",
			"doc:5:42 snat[0].addresses: at least one address is needed"}},
	{"snat_ports_backwards__are_refused",
		HEAD "snat: [{name: n, sources: [198.18.2.0/24], addresses: [198.18.1.150], ports: 9-8}]\n",
		{"doc:5:78 snat[0].ports: the range ends before it begins"}},
	{"snat_with_fewer_ports_than_workers__is_refused",
		HEAD "workers: 4\nsnat: [{name: n, sources: [198.18.2.0/24], addresses: [198.18.1.150], ports: 7-9}]\n",
		{"doc:6:78 snat[0].ports: a range of 3 ports is too small for 4 workers"}},
	{"snat_of_two_families_with_one_address__is_refused",
		HEAD "snat: [{name: n, sources: [198.18.2.0/24, \"fd00:2::/64\"], addresses: [198.18.1.150]}]\n",
		{"doc:5:70 snat[0].addresses: has IPv6 sources and needs an IPv6 address: addresses are not translated "
		 "between families"}},
	{"snat_address_without_a_source_of_its_family__is_refused",
		HEAD "snat: [{name: n, sources: [198.18.2.0/24], addresses: [198.18.1.150, \"fd00:1::1\"]}]\n",
		{"doc:5:27 snat[0].sources: has an IPv6 address but no IPv6 source"}},
	{"snat_sources_given_twice__are_refused",
		HEAD "snat:\n- {name: n, sources: [198.18.2.0/24], addresses: [198.18.1.150]}\n"
		     "- {name: o, sources: [198.18.3.0/24, 198.18.2.0/24], addresses: [198.18.1.151]}\n",
		{"doc:7:38 snat[1].sources[1]: is snat[0].sources[0] already"}},
	{"snat_at_a_used_address__is_refused",
		HEAD
		"snat:\n- {name: n, sources: [198.18.2.0/24], addresses: [198.18.2.99-198.18.2.100, 198.18.1.255]}\n"
		"- {name: o, sources: [198.18.3.0/24], addresses: [198.18.2.99]}\n",
		{"doc:6:51 snat[0].addresses[0]: 198.18.2.100 is in local_addresses[0] already",
			"doc:6:77 snat[0].addresses[1]: is the broadcast address of the network of port p0",
			"doc:7:51 snat[1].addresses[0]: 198.18.2.99 is an address of snat \"n\" already"}},
	{"snat_with_too_many_addresses__is_refused",
		HEAD "snat: [{name: n, sources: [198.18.2.0/24], addresses: [198.19.0.0-198.19.1.0]}]\n",
		{"doc:5:56 snat[0].addresses[0]: more than 256 addresses in all"}},
	{"eip_at_a_virtual_address__is_refused",
		HEAD "listeners: [" LISTENER "]\neip: [{name: e, public: 198.18.1.100, private: 198.18.2.11}]\n",
		{"doc:6:25 eip[0].public: 198.18.1.100 is the address of listener \"l1\" already"}},
	{"eip_of_two_families__is_refused", HEAD "eip: [{name: e, public: 198.18.1.160, private: \"fd00::1\"}]\n",
		{"doc:5:48 eip[0].private: is IPv6 but the public address is IPv4: addresses are not translated "
		 "between "
		 "families"}},
	{"eips_of_one_private_address__are_refused",
		HEAD "eip:\n- {name: e, public: 198.18.1.160, private: 198.18.2.11}\n"
		     "- {name: g, public: 198.18.1.161, private: 198.18.2.11}\n",
		{"doc:7:44 eip[1].private: 198.18.2.11 is the private address of eip \"e\" already"}},
	{"eip_for_an_address_of_the_balancer__is_refused",
		HEAD "eip: [{name: e, public: 198.18.1.160, private: 198.18.2.100}]\n",
		{"doc:5:48 eip[0].private: 198.18.2.100 is in local_addresses[0]: packets would come back to this "
		 "node"}},
	{"names_of_listeners_and_outbound_services__are_of_one_kind",
		HEAD "listeners: [" LISTENER "]\n"
		     "snat: [{name: l1, sources: [198.18.2.0/24], addresses: [198.18.1.150]}]\n"
		     "eip: [{name: l1, public: 198.18.1.160, private: 198.18.2.11}]\n",
		{"doc:6:15 snat[0].name: \"l1\" is taken by listeners[0] already",
			"doc:7:14 eip[0].name: \"l1\" is taken by listeners[0] already",
			"doc:7:14 eip[0].name: \"l1\" is taken by snat[0] already"}},
	{"internal_prefix_with_host_bits__is_refused", HEAD "metering: {internal: [10.0.0.1/8], external: []}\n",
		{"doc:5:23 metering.internal[0]: has bits behind the prefix; its network is 10.0.0.0/8",
			"doc:5:36 metering.external: unknown key; did you mean internal?"}},
	{"range_backwards__is_refused", VERSION PORTS "local_addresses: [198.18.2.9-198.18.2.1]\n",
		{"doc:3:19 local_addresses[0]: the range's end must be of the same family and not before its "
		 "beginning"}},
	{"range_too_large__is_refused", VERSION PORTS "local_addresses: [198.19.0.0-198.19.255.255]\n",
		{"doc:3:19 local_addresses[0]: more than 4096 local addresses in all"}},
	{"local_address_twice__is_refused", VERSION PORTS "local_addresses: [198.18.2.1-198.18.2.3, 198.18.2.3]\n",
		{"doc:3:42 local_addresses[1]: 198.18.2.3 is in local_addresses[0] already"}},
	{"local_address_of_a_port__is_refused", VERSION PORTS "local_addresses: [198.18.1.2]\n",
		{"doc:3:19 local_addresses[0]: 198.18.1.2 is an address of port \"p0\" already"}},
	{"virtual_address_of_a_port__is_refused",
		HEAD "listeners: [{name: l1, address: 198.18.1.2, protocol: tcp, ports: 80, group: web}]\n",
		{"doc:5:33 listeners[0].address: 198.18.1.2 is an address of port \"p0\" already"}},
	{"virtual_address_that_is_local__is_refused",
		HEAD "listeners: [{name: l1, address: 198.18.2.100, protocol: tcp, ports: 80, group: web}]\n",
		{"doc:5:33 listeners[0].address: 198.18.2.100 is in local_addresses[0] already"}},
	{"virtual_address_that_is_broadcast__is_refused",
		HEAD "listeners: [{name: l1, address: 198.18.1.255, protocol: tcp, ports: 80, group: web}]\n",
		{"doc:5:33 listeners[0].address: is the broadcast address of the network of port p0"}},
	{"backend_at_a_virtual_address__is_refused",
		VERSION PORTS LOCALS "groups: [{name: web, backends: [{name: b1, address: 198.18.1.100, port: 80}]}]\n"
				     "listeners: [" LISTENER "]\n",
		{"doc:4:53 groups[0].backends[0].address: 198.18.1.100 is the address of listener \"l1\": packets "
		 "would come "
		 "back to this node"}},
	{"missing_group__names_the_nearest",
		HEAD "listeners: [{name: l1, address: 198.18.1.100, protocol: tcp, ports: 80, group: wbe}]\n",
		{"doc:5:80 listeners[0].group: there is no group \"wbe\"; did you mean \"web\"?"}},
	{"listeners_of_one_name__are_refused",
		HEAD "listeners:\n- " LISTENER
		     "\n- {name: l1, address: 198.18.1.101, protocol: tcp, ports: 80, group: web}\n",
		{"doc:7:10 listeners[1].name: \"l1\" is taken by listeners[0] already"}},
	{"overlapping_ranges__are_refused",
		HEAD "listeners:\n- " LISTENER
		     "\n- {name: l2, address: 198.18.1.100, protocol: tcp, ports: \"70-90\", group: web}\n",
		{"doc:7:59 listeners[1].ports: ports 70-90 overlap with ports 80-80 of listener \"l1\" (listeners[0]) "
		 "at the "
		 "same address"}},
	{"ranges_that_share_one_port__are_refused",
		HEAD "listeners:\n- {name: a, address: 198.18.1.100, protocol: tcp, ports: 80-90, group: web}\n"
		     "- {name: b, address: 198.18.1.100, protocol: tcp, ports: 90-95, group: web}\n",
		{"doc:7:58 listeners[1].ports: ports 90-95 overlap with ports 80-90 of listener \"a\" (listeners[0]) "
		 "at the "
		 "same address"}},
	{"range_within_an_earlier_wide_one__is_refused",
		HEAD "listeners:\n- {name: a, address: 198.18.1.100, protocol: tcp, ports: 10-90, group: web}\n"
		     "- {name: b, address: 198.18.1.100, protocol: tcp, ports: 100, group: web}\n"
		     "- {name: c, address: 198.18.1.100, protocol: tcp, ports: 20, group: web}\n"
		     "- {name: d, address: 198.18.1.100, protocol: tcp, ports: 60, group: web}\n",
		{"doc:8:58 listeners[2].ports: ports 20-20 overlap with ports 10-90 of listener \"a\" (listeners[0]) "
		 "at the "
		 "same address",
			"doc:9:58 listeners[3].ports: ports 60-60 overlap with ports 10-90 of listener \"a\" "
			"(listeners[0]) at "
			"the same address"}},
	{"ports_backwards_or_out_of_range__are_refused",
		HEAD "listeners:\n- {name: l1, address: 198.18.1.100, protocol: tcp, ports: \"90-80\", group: web}\n"
		     "- {name: l2, address: 198.18.1.100, protocol: tcp, ports: 65536, group: web}\n"
		     "- {name: l3, address: 198.18.1.100, protocol: tcp, ports: \"80-\", group: web}\n",
		{"doc:6:59 listeners[0].ports: the range ends before it begins",
			"doc:7:59 listeners[1].ports: is out of range, must be within 1..65535",
			"doc:8:59 listeners[2].ports: must be a number or a range such as \"8000-8100\""}},
	{"unknown_words__name_the_known",
		HEAD
		"listeners: [{name: l1, address: 198.18.1.100, protocol: sctp, ports: 80, group: web, mode: dr}]\n",
		{"doc:5:57 listeners[0].protocol: must be one of tcp, udp, not \"sctp\"",
			"doc:5:92 listeners[0].mode: must be one of fullnat, nat, not \"dr\""}},
	{"families_that_differ__are_refused",
		VERSION PORTS
		"local_addresses: [198.18.2.100, \"fd00:2::100\"]\n" GROUPS
		"listeners: [{name: l1, address: \"fd00:1::100\", protocol: tcp, ports: 80, group: web}]\n",
		{"doc:5:81 listeners[0].group: the listener is IPv6 but backend \"b1\" of group \"web\" is IPv4: "
		 "addresses are "
		 "not translated between families"}},
	{"fullnat_without_local_address__is_refused", VERSION PORTS GROUPS "listeners: [" LISTENER "]\n",
		{"doc:4:13 listeners[0].mode: mode fullnat needs an IPv4 address in local_addresses"}},
	{"client_address_in_mode_nat__is_refused",
		HEAD "listeners: [{name: l1, address: 198.18.1.100, protocol: tcp, ports: 81, mode: nat, group: web,\n"
		     "  client_address: toa}]\n",
		{"doc:6:19 listeners[0].client_address: toa is of mode fullnat: in mode nat backends see the client "
		 "itself"}},
	{"client_address_as_option_of_udp__is_refused",
		HEAD "listeners: [{name: l1, address: 198.18.1.100, protocol: udp, ports: 81, group: web,\n"
		     "  client_address: toa}]\n",
		{"doc:6:19 listeners[0].client_address: toa is an option of TCP; of udp it is proxy_v2"}},
	{"client_address_of_no_known_word__is_refused",
		HEAD "listeners: [{name: l1, address: 198.18.1.100, protocol: tcp, ports: 81, group: web,\n"
		     "  client_address: proxy_v1}]\n",
		{"doc:6:19 listeners[0].client_address: must be one of none, toa, proxy_v2, not \"proxy_v1\""}},
	{"nat_range_to_a_fixed_port__is_refused",
		HEAD
		"listeners: [{name: l1, address: 198.18.1.100, protocol: tcp, ports: 80-90, mode: nat, group: web}]\n",
		{"doc:5:69 listeners[0].ports: a range of ports in mode nat needs backends with port 0, but backend "
		 "\"b1\" of "
		 "group \"web\" has port 80: replies could not be told apart"}},
	{"backends_of_one_name_or_address__are_refused",
		VERSION PORTS
		"groups: [{name: g, backends: [{name: b, address: 198.18.2.1}, {name: b, address: 198.18.2.1}]}]\n",
		{"doc:3:70 groups[0].backends[1].name: \"b\" is taken by groups[0].backends[0] already",
			"doc:3:82 groups[0].backends[1].address: backends[0] has the same address and port"}},
	{"weight_out_of_range__is_refused",
		VERSION PORTS "groups: [{name: g, backends: [{name: b, address: 198.18.2.1, weight: 1001}]}]\n",
		{"doc:3:70 groups[0].backends[0].weight: 1001 is out of range, must be 0..1000"}},
	{"check_without_a_port__is_refused",
		VERSION PORTS "groups: [{name: g, check: {type: tcp}, backends: [{name: b, address: 198.18.2.1}]}]\n",
		{"doc:3:51 groups[0].backends[0]: has port 0 (the listener's), so the group's check needs a port of "
		 "its own"}},
	{"check_keys_of_another_type__are_refused",
		VERSION PORTS "groups: [{name: g, check: {type: tcp, path: /, status: 200, send: x}, backends: []}]\n",
		{"doc:3:45 groups[0].check: key path is for type http only",
			"doc:3:56 groups[0].check: key status is for type http only",
			"doc:3:67 groups[0].check: key send is for type udp only"}},
	{"udp_check_without_send__is_refused", VERSION PORTS "groups: [{name: g, check: {type: udp}, backends: []}]\n",
		{"doc:3:27 groups[0].check: key send is missing: a UDP check needs something to send"}},
	{"check_that_outlasts_its_interval__is_refused",
		VERSION PORTS
		"groups: [{name: g, check: {type: tcp, interval_ms: 100, timeout_ms: 200}, backends: []}]\n",
		{"doc:3:69 groups[0].check: timeout_ms 200 is longer than interval_ms 100"}},
	{"http_path_that_ends_its_line__is_refused",
		VERSION PORTS
		"groups: [{name: g, check: {type: http, path: \"/a b\", host: \"x\\r\\ny\"}, backends: []}]\n",
		{"doc:3:46 groups[0].check.path: must be printable ASCII without blanks (percent-encode others)",
			"doc:3:60 groups[0].check.host: must be printable ASCII"}},
	{"probe_that_is_no_bytes__is_refused",
		VERSION PORTS "groups: [{name: g, check: {type: udp, send: \"\\u0100\"}, backends: []}]\n",
		{"doc:3:45 groups[0].check.send: must have 1 to 512 bytes, written as ASCII or \"\\xNN\""}},
	{"status_out_of_range__is_refused",
		VERSION PORTS "groups: [{name: g, check: {type: http, status: 99-200}, backends: []}]\n",
		{"doc:3:48 groups[0].check.status: is out of range, must be within 100..599"}},
	{"three_errors__are_all_three_named",
		HEAD
		"workers: 0\nlisteners:\n- {name: l1, address: 198.18.1.300, protocol: tcp, ports: 80, group: web}\n"
		"- {name: l2, address: 198.18.1.100, protocol: tcp, ports: 80, group: nowhere}\n",
		{"doc:5:10 workers: 0 is out of range, must be 1..16",
			"doc:7:23 listeners[0].address: \"198.18.1.300\" is no IPv4 or IPv6 address",
			"doc:8:70 listeners[1].group: there is no group \"nowhere\""}},
	{"empty_cluster__names_the_keys_it_needs", HEAD "cluster: {}\n",
		{"doc:5:10 cluster: key address is missing", "doc:5:10 cluster: key id is missing",
			"doc:5:10 cluster: key interface is missing",
			"doc:5:10 cluster: key members or etcd is missing",
			"doc:3:19 local_addresses[0]: 198.18.2.100 is in none of cluster.local_prefixes: the cluster "
			"would not know whose it is"}},
	{"cluster_that_is_no_mapping__is_refused", HEAD "cluster: 7\n",
		{"doc:5:10 cluster: must be a mapping of keys to values"}},
	{"id_of_a_node__is_one_byte_and_not_0",
		HEAD SELF "  group: 256\n  members:\n  - " MEMBER1 "\n  - {id: 0, name: n2, address: 198.18.9.2}\n",
		{"doc:10:10 cluster.group: 256 is out of range, must be 0..255",
			"doc:13:10 cluster.members[1].id: 0 is out of range, must be 1..255"}},
	{"members_of_one_id_name_or_address__are_each_named",
		HEAD SELF "  members:\n  - " MEMBER1 "\n  - {id: 1, name: n1, address: 198.18.9.1}\n",
		{"doc:12:10 cluster.members[1].id: 1 is taken by members[0] already",
			"doc:12:19 cluster.members[1].name: \"n1\" is taken by members[0] already",
			"doc:12:32 cluster.members[1].address: 198.18.9.1 is members[0]'s already"}},
	{"this_node_not_among_the_members__is_refused", HEAD SELF "  members:\n  - " MEMBER2 "\n",
		{"doc:11:3 cluster.members: this node, id 1, is not among the members"}},
	{"this_node_listed_otherwise_than_it_is__is_refused",
		HEAD SELF "  members:\n  - {id: 1, name: n1, address: 198.18.9.7, local_prefixes: [198.18.4.0/24]}\n",
		{"doc:11:5 cluster.members[0]: local_prefixes are not those of cluster.local_prefixes, and this "
		 "member is this node",
			"doc:11:32 cluster.members[0].address: is not cluster.address, and this member is this node"}},
	{"prefixes_of_members_that_overlap__are_refused",
		HEAD SELF "  members:\n  - " MEMBER1
			  "\n  - {id: 2, name: n2, address: 198.18.9.2, local_prefixes: [198.18.2.128/25]}\n",
		{"doc:12:61 cluster.members[1].local_prefixes[0]: overlaps with local_prefixes[0] of member 1"}},
	{"prefix_with_bits_behind__names_its_network",
		HEAD SELF "  members:\n  - " MEMBER1
			  "\n  - {id: 2, name: n2, address: 198.18.9.2, local_prefixes: [198.18.3.9/28, "
			  "\"fd00:3::1/63\"]}\n",
		{"doc:12:61 cluster.members[1].local_prefixes[0]: has bits behind the prefix; its network is "
		 "198.18.3.0/28",
			"doc:12:76 cluster.members[1].local_prefixes[1]: has bits behind the prefix; its network is "
			"fd00:3::/63"}},
	{"nine_members__are_refused", HEAD SELF "  members: [" MEMBER1 ", a, b, c, d, e, f, g, h]\n",
		{"doc:10:12 cluster.members: has 9 members, at most 8 are allowed",
			"doc:10:12 cluster.members: this node, id 1, is not among the members"}},
	{"public_addresses_that_no_member_announces__are_refused",
		VERSION PORTS
		"local_addresses: [198.18.2.100]\n" GROUPS
		"snat: [{name: n, sources: [10.0.0.0/8], addresses: [198.18.2.7, 198.18.3.7, 198.18.4.7]}]\n"
		"eip: [{name: e, public: 198.18.5.1, private: 10.0.0.1}]\n" SELF MEMBERS,
		{"doc:5:77 snat[0].addresses[2]: 198.18.4.7 is in no member's local_prefixes: nobody would announce it",
			"doc:6:25 eip[0].public: 198.18.5.1 is in no member's local_prefixes: nobody would announce "
			"it"}},
	{"local_range_outside_the_home_prefixes__is_refused_once",
		VERSION PORTS "local_addresses: [198.18.2.100, 198.18.2.254-198.18.3.5]\n" GROUPS SELF MEMBERS,
		{"doc:3:33 local_addresses[1]: 198.18.3.0 is in none of cluster.local_prefixes: the cluster would "
		 "not know whose it is"}},
	{"members_and_etcd__exclude_each_other",
		HEAD SELF MEMBERS "  etcd: {endpoints: [\"http://198.18.9.9:2379\"]}\n",
		{"doc:13:9 cluster.etcd: members are listed already: either members or etcd"}},
	{"sync_address_with_another_use__is_refused",
		VERSION PORTS "local_addresses: [198.18.2.100, 198.18.9.1]\n" GROUPS
			      "cluster:\n  id: 1\n  interface: sync0\n  address: 198.18.9.1\n"
			      "  local_prefixes: [198.18.2.0/24, 198.18.9.0/24]\n"
			      "  etcd: {endpoints: [\"http://198.18.9.9:2379\"]}\n",
		{"doc:3:33 local_addresses[1]: 198.18.9.1 is this node's on the sync network already"}},
	{"sync_address_and_group__are_ipv4_and_multicast",
		HEAD "cluster:\n  id: 1\n  interface: a123456789012345\n  address: \"fd00:9::1\"\n  multicast: "
		     "198.18.9.1\n  local_prefixes: [198.18.2.0/24]\n  members: [{id: 1, name: n, address: "
		     "198.18.9.1, local_prefixes: [198.18.2.0/24]}]\n",
		{"doc:7:14 cluster.interface: an interface name has at most 15 characters",
			"doc:8:12 cluster.address: must be an IPv4 address: session sync goes over IPv4",
			"doc:9:14 cluster.multicast: must be an IPv4 multicast address, as in 224.0.0.81"}},
	{"trigger_of_packets__is_below_its_period", HEAD SELF MEMBERS "  trigger: {kind: packets, threshold: 50}\n",
		{"doc:13:12 cluster.trigger: threshold 50 must be below period 50: packets are counted modulo it"}},
	{"trigger_of_data__has_no_period", HEAD SELF MEMBERS "  trigger: {kind: data, period: 50}\n",
		{"doc:13:33 cluster.trigger: key period is for kind packets only"}},
	{"trigger_of_no_data__is_refused", HEAD SELF MEMBERS "  trigger: {kind: data, threshold: 0}\n",
		{"doc:13:36 cluster.trigger: kind data needs at least one packet"}},
	{"route_table_of_the_kernel__is_refused", HEAD SELF MEMBERS "  routes: {table: 254}\n",
		{"doc:13:19 cluster.routes: table 254 is one of the kernel's own (253..255), and the agent "
		 "empties its table"}},
	{"etcd_endpoints_that_cannot_be_reached_so__are_each_refused",
		HEAD SELF "  etcd:\n    prefix: /a/\n    lease_ttl_s: 1\n    endpoints:\n    - https://198.18.9.1:1\n"
			  "    - http://etcd:2379\n    - http://198.18.9.1\n    - http://fd00::1:2379\n"
			  "    - http://198.18.9.1:65536\n    - http://198.18.9.1:2379/x\n    - \"http://[]:1\"\n",
		{"doc:11:13 cluster.etcd.prefix: must begin with '/', not end with it, and have no blanks",
			"doc:12:18 cluster.etcd.lease_ttl_s: 1 is out of range, must be 2..3600",
#define ENDPOINT ": must be an address and a port, as in http://198.18.9.100:2379 or http://[fd00:9::1]:2379"
			"doc:14:7 cluster.etcd.endpoints[0]" ENDPOINT, "doc:15:7 cluster.etcd.endpoints[1]" ENDPOINT,
			"doc:16:7 cluster.etcd.endpoints[2]" ENDPOINT, "doc:17:7 cluster.etcd.endpoints[3]" ENDPOINT,
			"doc:18:7 cluster.etcd.endpoints[4]" ENDPOINT, "doc:19:7 cluster.etcd.endpoints[5]" ENDPOINT,
			"doc:20:7 cluster.etcd.endpoints[6]" ENDPOINT}},
};

static void document__is_refused_with_exactly_its_errors(void **state)
{
	const struct row *row = *state;
	struct slu_config *config;
	struct slu_errors errors;
	size_t i;

	slu_errors_init(&errors, "doc");
	assert_int_not_equal(slu_config_parse(row->text, strlen(row->text), &config, &errors), 0);
	assert_null(config);
	for (i = 0; i < errors.count; i++) {
		char *text = slu_errors_format(&errors, i);
		bool expected = false;

		for (size_t j = 0; row->errors[j] != NULL; j++)
			expected |= strcmp(text, row->errors[j]) == 0;
		if (!expected)
			print_error("not expected: %s\n", text);
		assert_true(expected);
		free(text);
	}
	while (row->errors[i] != NULL)
		print_error("expected and not there, one of %s\n", row->errors[i++]);
	assert_int_equal(i, errors.count);
	slu_errors_clear(&errors);
}

static struct slu_config *good(const char *text)
{
	struct slu_config *config;
	struct slu_errors errors;

	slu_errors_init(&errors, "doc");
	slu_config_parse(text, strlen(text), &config, &errors);
	for (size_t i = 0; i < errors.count; i++)
		print_error("%s: %s\n", errors.items[i].path, errors.items[i].rule);
	slu_errors_clear(&errors);
	assert_non_null(config);
	return config;
}

static void errors_without_end__are_counted_not_kept(void **state)
{
	size_t bytes = 0, count = 3000;
	char *text = malloc(32 * count + 256);
	struct slu_config *config;
	struct slu_errors errors;

	(void)state;
	bytes += (size_t)sprintf(text, HEAD);
	for (size_t i = 0; i < count; i++)
		bytes += (size_t)sprintf(text + bytes, "unknown%zu: 1\n", i);
	slu_errors_init(&errors, "doc");
	assert_int_not_equal(slu_config_parse(text, bytes, &config, &errors), 0);
	assert_int_equal(errors.count, SLU_ERRORS_MAX);
	assert_int_equal(errors.suppressed, count - SLU_ERRORS_MAX);
	slu_errors_clear(&errors);
	free(text);
}

static void oversized_document__is_refused_unread(void **state)
{
	size_t bytes = SLU_CONFIG_MAX_BYTES + 1;
	char *text = malloc(bytes);
	struct slu_config *config;
	struct slu_errors errors;

	(void)state;
	memset(text, '#', bytes);
	slu_errors_init(&errors, "doc");
	assert_int_not_equal(slu_config_parse(text, bytes, &config, &errors), 0);
	assert_string_equal(errors.items[0].rule, "the document has 16777217 bytes, at most 16777216 are read");
	slu_errors_clear(&errors);
	free(text);
}

static void document_of_too_many_values__is_refused(void **state)
{
	size_t bytes = 2 * SLU_DOCUMENT_MAX_NODES + 16;
	char *text = malloc(bytes);
	struct slu_config *config;
	struct slu_errors errors;

	(void)state;
	for (size_t i = 0; i < bytes; i += 2)
		memcpy(text + i, "1,", 2);
	memcpy(text, "[ ", 2);
	slu_errors_init(&errors, "doc");
	assert_int_not_equal(slu_config_parse(text, bytes, &config, &errors), 0);
	assert_int_equal(errors.count, 1);
	assert_string_equal(errors.items[0].rule, "more than 2000000 values");
	slu_errors_clear(&errors);
	free(text);
}

static void missing_file_and_folder__are_errors_with_the_reason(void **state)
{
	struct slu_config *config;
	struct slu_errors errors;

	(void)state;
	slu_errors_init(&errors, "x");
	assert_int_not_equal(slu_config_load("/nonexistent/lb.yaml", &config, &errors), 0);
	assert_int_not_equal(slu_config_load("/", &config, &errors), 0);
	assert_int_equal(errors.count, 2);
	assert_string_equal(errors.items[0].rule, "cannot be read: No such file or directory");
	assert_string_equal(errors.items[1].rule, "cannot be read: Is a directory");
	slu_errors_clear(&errors);
}

static void values_left_out__have_their_defaults(void **state)
{
	struct slu_config *config = good(HEAD "listeners: [" LISTENER "]\n");
	const struct slu_config_listener *listener = &config->listeners[0];
	const struct slu_timeouts expected = {60, 120, 900, 120, 120, 10, 60, 30, 300};

	(void)state;
	assert_string_equal(config->node, "sluice");
	assert_string_equal(config->state_dir, "/var/lib/sluice");
	assert_string_equal(config->api, "/run/sluice/api.sock");
	assert_int_equal(config->workers, 1);
	assert_int_equal(config->sessions, 1000000);
	assert_int_equal(config->ports[0].queues, 1);
	assert_int_equal(config->groups[0].scheduler, SLU_SCHED_MAGLEV);
	assert_int_equal(config->groups[0].check.type, SLU_CHECK_NONE);
	assert_int_equal(config->groups[0].backends[0].weight, 1);
	assert_int_equal(listener->mode, SLU_MODE_FULLNAT);
	assert_true(listener->offload.enabled);
	assert_int_equal(listener->offload.threshold_packets, 3);
	assert_memory_equal(&listener->timeouts, &expected, sizeof(expected));
	slu_config_free(config);
}

static void values_given__are_read(void **state)
{
	struct slu_config *config = good(VERSION PORTS
		"local_addresses: [198.18.2.254-198.18.3.1, \"fd00:2::1\"]\n"
		"groups:\n"
		"- {name: none, backends: []}\n"
		"- name: web\n"
		"  check: {type: http, path: /up, host: h, status: 200-299, port: 81, interval_ms: 50, rise: 4, fall: "
		"5}\n"
		"  scheduler: wlc\n"
		"  backends: [{name: b1, address: 198.18.2.11, weight: 0}]\n"
		"listeners:\n"
		"- {name: l, address: 198.18.1.9, protocol: udp, ports: 5-7, mode: nat, vpc: 16777215, group: web,\n"
		"   offload: {enabled: false, threshold_packets: 9}, max_sessions: 77, timeouts: {udp_s: 7, close_s: "
		"2}}\n");
	const struct slu_config_check *check = &config->groups[1].check;
	const struct slu_config_listener *listener = &config->listeners[0];
	char text[SLU_IP_TEXT_BYTES];

	(void)state;
	assert_int_equal(config->local_count, 5);
	assert_string_equal(slu_ip_format(&config->locals[2], text), "198.18.3.0");
	assert_int_equal(config->locals[4].family, 6);
	assert_int_equal(check->type, SLU_CHECK_HTTP);
	assert_string_equal(check->path, "/up");
	assert_string_equal(check->host, "h");
	assert_int_equal(check->status_last, 299);
	assert_int_equal(check->timeout_ms, 50); /* the default would outlast the interval */
	assert_int_equal(check->rise * 10 + check->fall, 45);
	assert_int_equal(config->groups[1].backends[0].weight, 0);
	assert_int_equal(listener->group_index, 1);
	assert_int_equal(listener->protocol, 17);
	assert_int_equal(listener->port_first * 10 + listener->port_last, 57);
	assert_int_equal(listener->vpc, SLU_VPC_MAX);
	assert_false(listener->offload.enabled);
	assert_int_equal(listener->max_sessions, 77);
	assert_int_equal(listener->timeouts.udp, 7);
	assert_int_equal(listener->timeouts.close, 2);
	slu_config_free(config);
}

static void cluster_values_left_out__have_their_defaults(void **state)
{
	struct slu_config *config = good(HEAD SELF MEMBERS), *alone = good(HEAD);
	const struct slu_config_cluster *cluster = config->cluster;
	char text[SLU_IP_TEXT_BYTES];

	(void)state;
	assert_null(alone->cluster);
	assert_int_equal(cluster->group, 0);
	assert_string_equal(slu_ip_format(&cluster->multicast, text), "224.0.0.81");
	assert_int_equal(cluster->port, 8848);
	assert_null(cluster->key_file);
	assert_true(cluster->extensions);
	assert_true(cluster->trigger_data);
	assert_int_equal(cluster->threshold, 3);
	assert_int_equal(cluster->route_table, 0);
	assert_int_equal(cluster->member_count, 2);
	assert_string_equal(slu_ip_format(&cluster->members[1].locals[0].ip, text), "198.18.3.0");
	assert_int_equal(cluster->members[1].locals[0].bits, 24);
	assert_int_equal(cluster->etcd_count, 0);
	slu_config_free(config);
	slu_config_free(alone);
}

static void cluster_values_given__are_read(void **state)
{
	struct slu_config *config =
		good(HEAD "cluster:\n  id: 255\n  group: 9\n  interface: t0\n  address: 198.18.1.2\n"
			  "  multicast: 239.1.2.3\n  port: 1\n  key_file: /k\n  extensions: false\n"
			  "  trigger: {kind: packets, threshold: 0, period: 7}\n"
			  "  local_prefixes: [198.18.2.0/24, \"fd00:64::/64\"]\n  routes: {table: 8848}\n"
			  "  etcd: {endpoints: [\"http://198.18.9.9:2379\", \"http://[fd00:9::9]:1\"], prefix: /x, "
			  "lease_ttl_s: 9}\n");
	const struct slu_config_cluster *cluster = config->cluster;
	char text[SLU_IP_TEXT_BYTES];

	(void)state;
	assert_int_equal(cluster->id, 255);
	assert_int_equal(cluster->group, 9);
	assert_string_equal(cluster->interface, "t0");
	assert_string_equal(slu_ip_format(&cluster->multicast, text), "239.1.2.3");
	assert_int_equal(cluster->port, 1);
	assert_string_equal(cluster->key_file, "/k");
	assert_false(cluster->extensions);
	assert_false(cluster->trigger_data);
	assert_int_equal(cluster->threshold * 10 + cluster->period, 7);
	assert_int_equal(cluster->local_count, 2);
	assert_int_equal(cluster->locals[1].ip.family, 6);
	assert_int_equal(cluster->route_table, 8848);
	assert_int_equal(cluster->etcd_count, 2);
	assert_string_equal(cluster->etcd[1], "http://[fd00:9::9]:1");
	assert_string_equal(cluster->etcd_prefix, "/x");
	assert_int_equal(cluster->lease_ttl_s, 9);
	slu_config_free(config);
}

static void cluster__is_dumped_and_read_back_to_the_same(void **state)
{
	static const char *const texts[] = {HEAD SELF MEMBERS "  routes: {table: 8848}\n",
		HEAD SELF "  key_file: /k\n  trigger: {kind: packets, threshold: 4, period: 9}\n"
			  "  etcd: {endpoints: [\"http://198.18.9.9:2379\"], lease_ttl_s: 8}\n"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct slu_config *config = good(texts[i]), *other;
		struct slu_errors errors;
		char *text = slu_config_dump(config), *again;

		other = good(text);
		again = slu_config_dump(other);
		assert_string_equal(text, again);
		slu_errors_init(&errors, "doc");
		assert_int_equal(slu_config_restart_check(config, other, &errors), 0);
		slu_errors_clear(&errors);
		free(text);
		free(again);
		slu_config_free(config);
		slu_config_free(other);
	}
}

static void changes_of_a_cluster_but_its_members__need_a_restart(void **state)
{
	static const struct {
		const char *text;
		size_t changes;
	} rows[] = {
		{HEAD, 1},
		{HEAD SELF MEMBERS, 0},
		{HEAD SELF "  members:\n  - " MEMBER1 "\n", 0},
		{HEAD SELF MEMBERS "  group: 1\n", 1},
		{HEAD SELF MEMBERS "  multicast: 224.0.0.82\n", 1},
		{HEAD SELF MEMBERS "  port: 1\n", 1},
		{HEAD SELF MEMBERS "  key_file: /k\n", 1},
		{HEAD SELF MEMBERS "  extensions: false\n", 1},
		{HEAD SELF MEMBERS "  trigger: {kind: data, threshold: 2}\n", 1},
		{HEAD SELF MEMBERS "  routes: {table: 5}\n", 1},
		{HEAD SELF "  etcd: {endpoints: [\"http://198.18.9.9:2379\"]}\n", 1},
	};
	struct slu_config *now = good(HEAD SELF MEMBERS);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slu_config *next = good(rows[i].text);
		struct slu_errors errors;

		slu_errors_init(&errors, "doc");
		assert_int_equal(slu_config_restart_check(now, next, &errors), rows[i].changes);
		if (rows[i].changes)
			assert_string_equal(errors.items[0].path, "cluster");
		slu_errors_clear(&errors);
		slu_config_free(next);
	}
	slu_config_free(now);
}

/* A cluster's document on a node that has none of its parts. */
static void document_of_a_cluster__takes_everything_else_from_the_node(void **state)
{
	static const char text[] = "version: 1\n" GROUPS "listeners: [" LISTENER "]\n";
	struct slu_config *node = good(VERSION PORTS LOCALS SELF MEMBERS "workers: 3\n"), *config;
	struct slu_errors errors;
	char *whole, *again, *shared;

	(void)state;
	slu_errors_init(&errors, "doc");
	assert_int_equal(slu_config_parse_shared(node, text, strlen(text), &config, &errors), 0);
	assert_int_equal(slu_config_restart_check(node, config, &errors), 0);
	assert_int_equal(config->workers, 3);
	assert_int_equal(config->local_count, 1);
	assert_int_equal(config->listener_count, 1);
	assert_int_equal(config->listeners[0].group_index, 0);
	assert_int_equal(config->groups[0].backend_count, 1);
	/* Its own part of it is the same document again. */
	whole = slu_config_dump(config);
	shared = slu_config_dump_shared(config);
	slu_config_free(config);
	assert_int_equal(slu_config_parse_shared(node, shared, strlen(shared), &config, &errors), 0);
	again = slu_config_dump(config);
	assert_string_equal(whole, again);
	free(whole);
	free(again);
	free(shared);
	slu_config_free(config);
	slu_config_free(node);
	slu_errors_clear(&errors);
}

static void document_of_a_cluster__is_refused_with_its_own_places(void **state)
{
	static const char *const expected[] = {
		"doc:2:1 ports: unknown key; known here: version, groups, listeners, snat, eip, metering",
		"doc:4:33 listeners[0].address: 198.18.1.2 is an address of port \"p0\" already",
		"doc:5:18 listeners[1].mode: mode fullnat needs an IPv6 address in local_addresses"};
	static const char text[] = VERSION PORTS GROUPS
		"listeners: [{name: l1, address: 198.18.1.2, protocol: tcp, ports: 80, group: web},\n"
		"                 {name: l2, address: \"fd00::9\", protocol: tcp, ports: 80, group: none}]\n";
	struct slu_config *node = good(VERSION PORTS LOCALS SELF MEMBERS), *config;
	struct slu_errors errors;
	size_t found = 0;

	(void)state;
	slu_errors_init(&errors, "doc");
	assert_int_not_equal(slu_config_parse_shared(node, text, strlen(text), &config, &errors), 0);
	assert_null(config);
	for (size_t i = 0; i < errors.count; i++) {
		char *line = slu_errors_format(&errors, i);

		for (size_t j = 0; j < sizeof(expected) / sizeof(expected[0]); j++)
			found += strcmp(line, expected[j]) == 0;
		free(line);
	}
	assert_int_equal(found, sizeof(expected) / sizeof(expected[0]));
	assert_int_equal(errors.count, found + 1); /* and the group that is not there */
	slu_errors_clear(&errors);
	slu_config_free(node);
}

static void same_address_for_other_protocol_port_or_network__is_accepted(void **state)
{
	struct slu_config *config =
		good(HEAD "listeners:\n- " LISTENER "\n"
			  "- {name: a, address: 198.18.1.100, protocol: udp, ports: 80, group: web}\n"
			  "- {name: b, address: 198.18.1.100, protocol: tcp, ports: 81, group: web}\n"
			  "- {name: c, address: 198.18.1.100, protocol: tcp, ports: 80, group: web, vpc: 1}\n");

	(void)state;
	assert_int_equal(config->listener_count, 4);
	slu_config_free(config);
}

static void outbound_services__are_read(void **state)
{
	struct slu_config *config = good(HEAD
		"snat:\n- {name: n, sources: [198.18.2.0/24, 198.18.2.128/25, \"fd00:2::/64\"], addresses: "
		"[198.18.1.150-198.18.1.152, \"fd00:1::150\"], ports: 2000-2999, offload: {threshold_packets: 9}}\n"
		"eip: [{name: e, public: 198.18.1.160, private: 198.18.2.11, offload: {enabled: false}, timeouts: "
		"{udp_s: 8}}]\n"
		"metering: {internal: [10.0.0.0/8, \"fd00::/8\"]}\n");
	const struct slu_config_outbound *snat = &config->snats[0], *eip = &config->eips[0];
	char text[SLU_IP_TEXT_BYTES];

	(void)state;
	assert_int_equal(config->snat_count, 1);
	assert_int_equal(snat->source_count, 3);
	assert_int_equal(snat->sources[1].bits, 25);
	assert_int_equal(snat->addresses.count, 4);
	assert_string_equal(slu_ip_format(&snat->addresses.ips[2], text), "198.18.1.152");
	assert_int_equal(snat->port_first, 2000);
	assert_int_equal(snat->port_last, 2999);
	assert_true(snat->offload.enabled);
	assert_int_equal(snat->offload.threshold_packets, 9);
	assert_int_equal(config->eip_count, 1);
	assert_string_equal(slu_ip_format(&eip->private_ip, text), "198.18.2.11");
	assert_false(eip->offload.enabled);
	assert_int_equal(eip->timeouts.udp, 8);
	assert_int_equal(eip->timeouts.established, 900);
	assert_int_equal(config->internal_count, 2);
	slu_config_free(config);
}

static void json__is_read_as_yaml(void **state)
{
	struct slu_config *config =
		good("{\"version\":1,\n\t\"ports\":[{\"name\":\"p\",\"device\":\"d\",\"tap\":\"t\"}],"
		     "\"groups\":[],\"workers\":2}");

	(void)state;
	assert_int_equal(config->workers, 2);
	slu_config_free(config);
}

static void dump__is_read_back_to_the_same_document(void **state)
{
	struct slu_config *config = good(
		VERSION "eal: [--no-huge]\n"
			"ports: [{name: p0, device: \"d0,a=b\", index: 1, tap: t0, queues: 2, addresses: "
			"[198.18.1.2/24, \"fd00::2/64\"]}]\n" LOCALS "groups:\n"
			"- {name: a, check: {type: udp, port: 5, send: \"\\x00\\x7f\\xff\\x80a\\\"\", expect: "
			"\"\\xe9\\n\"}, backends: []}\n"
			"- {name: b, check: {type: http, status: 200-204, host: x}, scheduler: rr, backends: "
			"[{name: b1, address: 198.18.2.1, port: 8}]}\n"
			"listeners: [{name: l, address: 198.18.1.9, protocol: tcp, ports: 8-9, vpc: 5, group: b, "
			"client_address: proxy_v2, timeouts: {udp_s: 9}, max_sessions: 5, offload: {enabled: false}}]\n"
			"snat: [{name: s, sources: [10.0.0.0/8], addresses: [198.18.1.70-198.18.1.71], ports: "
			"5000-6000, offload: {enabled: false}, timeouts: {syn_sent_s: 3}}]\n"
			"eip: [{name: e, public: \"fd00::9\", private: \"fd01::9\", vpc: 7}]\n"
			"metering: {internal: [10.0.0.0/8]}\n");
	char *text = slu_config_dump(config), *again;
	struct slu_config *other = good(text);
	const struct slu_config_check *check = &other->groups[0].check;

	(void)state;
	again = slu_config_dump(other);
	assert_string_equal(text, again);
	assert_int_equal(other->listeners[0].timeouts.udp, 9);
	assert_int_equal(other->listeners[0].max_sessions, 5);
	assert_int_equal(other->listeners[0].client_address, SLU_CLIENT_ADDRESS_PROXY_V2);
	assert_int_equal(other->snats[0].addresses.count, 2);
	assert_int_equal(other->snats[0].port_last, 6000);
	assert_int_equal(other->snats[0].timeouts.syn_sent, 3);
	assert_int_equal(other->eips[0].vpc, 7);
	assert_int_equal(other->internal_count, 1);
	assert_int_equal(check->send_bytes, 6);
	assert_memory_equal(check->send,
		"\0\x7f\xff\x80"
		"a\"",
		6);
	assert_memory_equal(check->expect, "\xe9\n", 2);
	free(text);
	free(again);
	slu_config_free(config);
	slu_config_free(other);
}

static void settings_that_need_a_restart__are_each_named(void **state)
{
	struct slu_config *now = good(HEAD),
			  *next = good(
				  VERSION "node: other\nstate_dir: /x\napi: /y\nworkers: 2\nsessions: 2000\neal: [-v]\n"
					  "ports: [{name: p0, device: d0, tap: t0, addresses: [198.18.1.2/25]}]\n"),
			  *same = good(HEAD "listeners: [" LISTENER "]\n");
	static const char *const keys[] = {"node", "state_dir", "api", "workers", "sessions", "eal", "ports"};
	struct slu_errors errors;

	(void)state;
	slu_errors_init(&errors, "doc");
	assert_int_equal(slu_config_restart_check(now, same, &errors), 0);
	assert_int_equal(slu_config_restart_check(now, next, &errors), 7);
	for (size_t i = 0; i < 7; i++) {
		assert_string_equal(errors.items[i].path, keys[i]);
		assert_non_null(strstr(errors.items[i].rule, "needs a restart"));
	}
	slu_errors_clear(&errors);
	slu_config_free(now);
	slu_config_free(next);
	slu_config_free(same);
}

static void examples__are_good(void **state)
{
	static const char *const files[] = {"docs/examples/card.yaml", "docs/examples/af_packet.yaml"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct slu_config *config;
		struct slu_errors errors;

		slu_errors_init(&errors, files[i]);
		if (slu_config_load(files[i], &config, &errors) != 0)
			print_error("%s: %s\n", errors.items[0].path, errors.items[0].rule);
		assert_int_equal(errors.count, 0);
		assert_true(config->listener_count > 0);
		slu_config_free(config);
		slu_errors_clear(&errors);
	}
}

/* A node's document without what the cluster shares, and that. */
static void examples_of_a_cluster__fit_together(void **state)
{
	struct slu_config *node = NULL, *config = NULL;
	struct slu_errors errors;
	char text[8192];
	size_t bytes;
	FILE *file = fopen("docs/examples/cluster-etcd.yaml", "r");

	(void)state;
	assert_non_null(file);
	bytes = fread(text, 1, sizeof(text), file);
	fclose(file);
	slu_errors_init(&errors, "example");
	assert_int_equal(slu_config_load("docs/examples/node-etcd.yaml", &node, &errors), 0);
	for (enum slu_config_kind kind = 0; kind < SLU_CONFIG_KINDS; kind++)
		assert_int_equal(slu_config_part_count(node, kind), 0);
	if (slu_config_parse_shared(node, text, bytes, &config, &errors) != 0)
		print_error("%s: %s\n", errors.items[0].path, errors.items[0].rule);
	assert_int_equal(errors.count, 0);
	for (enum slu_config_kind kind = 0; kind < SLU_CONFIG_KINDS; kind++)
		assert_int_equal(slu_config_part_count(config, kind), 1);
	slu_config_free(config);
	slu_config_free(node);
	slu_errors_clear(&errors);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(errors_without_end__are_counted_not_kept),
		cmocka_unit_test(oversized_document__is_refused_unread),
		cmocka_unit_test(document_of_too_many_values__is_refused),
		cmocka_unit_test(missing_file_and_folder__are_errors_with_the_reason),
		cmocka_unit_test(values_left_out__have_their_defaults),
		cmocka_unit_test(values_given__are_read),
		cmocka_unit_test(cluster_values_left_out__have_their_defaults),
		cmocka_unit_test(cluster_values_given__are_read),
		cmocka_unit_test(cluster__is_dumped_and_read_back_to_the_same),
		cmocka_unit_test(changes_of_a_cluster_but_its_members__need_a_restart),
		cmocka_unit_test(document_of_a_cluster__takes_everything_else_from_the_node),
		cmocka_unit_test(document_of_a_cluster__is_refused_with_its_own_places),
		cmocka_unit_test(same_address_for_other_protocol_port_or_network__is_accepted),
		cmocka_unit_test(outbound_services__are_read),
		cmocka_unit_test(json__is_read_as_yaml),
		cmocka_unit_test(dump__is_read_back_to_the_same_document),
		cmocka_unit_test(settings_that_need_a_restart__are_each_named),
		cmocka_unit_test(examples__are_good),
		cmocka_unit_test(examples_of_a_cluster__fit_together),
	};
	enum { BAD = sizeof(bad) / sizeof(bad[0]), OTHERS = sizeof(others) / sizeof(others[0]) };
	struct CMUnitTest tests[BAD + OTHERS];

	for (size_t i = 0; i < BAD; i++)
		tests[i] = (struct CMUnitTest){.name = bad[i].name,
			.test_func = document__is_refused_with_exactly_its_errors,
			.initial_state = (void *)(uintptr_t)&bad[i]};
	memcpy(&tests[BAD], others, sizeof(others));
	return _cmocka_run_group_tests("config", tests, BAD + OTHERS, NULL, NULL);
}
