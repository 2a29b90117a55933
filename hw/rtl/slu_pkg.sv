// Types shared by the flow engine and the host interface.
//
// Layouts that software sees stand in slu_regs_pkg (generated). Here only what travels inside the card.
// Byte order everywhere: byte 0 of a frame, address or key is bits 7:0 (raw packet bytes, first byte lowest).
package slu_pkg;

  // Flow key: ten 32-bit words, w0 = src[31:0] .. w9 = proto_vni. An IPv4 address uses the low 32 bits, the rest is 0.
  typedef struct packed {
    logic [31:0]  proto_vni;  // proto | vni << 8
    logic [15:0]  dport;      // raw bytes, first byte in bits 7:0
    logic [15:0]  sport;
    logic [127:0] dst;
    logic [127:0] src;
  } key_t;
  localparam int unsigned KeyBits = 320;

  // What the flow engine tells the host interface about a frame; constant for all beats of the frame.
  typedef struct packed {
    logic [31:0]  time_us;    // low bits of time_us at reception
    logic [15:0]  dport;      // RSS tuple: raw bytes; 0 without TCP/UDP header (l4_off 0)
    logic [15:0]  sport;
    logic [127:0] dst;        // raw bytes; IPv4 in bits 31:0; 0 if neither RXF_IPV4 nor RXF_IPV6
    logic [127:0] src;
    logic [15:0]  queue;      // queue of the port; 0xFFFF: by RSS
    logic [31:0]  mark;       // with RXF_MARK
    logic [31:0]  flow_id;    // with RXF_FLOW
    logic [7:0]   proto;      // IP protocol, 0 if not IP
    logic [7:0]   tcp_flags;
    logic [7:0]   l4_off;     // in the delivered frame; 0: none
    logic [7:0]   l3_off;     // in the delivered frame; 0: none
    logic [15:0]  vlan_tci;   // as a number, with RXF_VLAN
    logic [15:0]  flags;      // RXF_* of slu_regs_pkg, all but RXF_RSS
    logic [7:0]   port;       // ingress wire port
    logic [7:0]   reason;     // REASON_* of slu_regs_pkg
    logic [15:0]  len;        // bytes of the delivered frame
  } rx_meta_t;
  localparam int unsigned RxMetaBits = 496;

  // What the parser says about a frame (inside the flow engine). Offsets are after the VLAN tag was taken off. Fields stand on
  // 32-bit words, which the simulation likes.
  typedef struct packed {
    logic [7:0]  tcp_flags;  // 0 unless tcp
    logic [15:0] tci;        // as a number, with tagged
    logic [31:0] time_us;
    logic [15:0] ip_len;     // bytes of the IP packet
    logic [15:0] l4_csum;    // raw bytes, as received
    logic [15:0] l3_csum;
    logic [7:0]  ttl;
    logic [7:0]  proto;
    logic        spare;      // 0
    logic [7:0]  reason;     // REASON_NONE: look it up
    logic        has_tag;
    logic        mac_own;    // destination MAC is the ingress port's
    logic        l3_bad;
    logic        l3_good;
    logic        frag;
    logic        udp;        // whole UDP header present
    logic        tcp;        // whole TCP header present
    logic        is6;
    logic        is4;
    logic [13:0] len;        // bytes without the tag
  } frame_meta_t;
  localparam int unsigned FrameMetaBits = 152;

  // Kinds of a lookup pipeline's token.
  localparam logic [1:0] LookupFrame = 2'd0;
  localparam logic [1:0] LookupDump = 2'd1;
  localparam logic [1:0] LookupRecord = 2'd2;
  localparam logic [1:0] LookupNextHop = 2'd3;

  // What a ring entry of slu_record_fetch says when it is resolved.
  typedef struct packed {
    logic epoch;
    logic cmd;      // of the table port, not a frame
    logic off;      // lookup was disabled
    logic fetched;  // a tag matched: there is a record
    logic is6;      // two halves
  } ring_info_t;
  localparam int unsigned RingInfoBits = 5;

  // What to do with a frame; stays while its beats pass slu_rewrite. Fields stand on 32-bit words, which the simulation likes.
  typedef struct packed {
    logic         fwd;         // send to wire port `dest`, rewritten
    logic         host;        // give to the host, as it came
    logic         flow_valid;  // flow_id
    logic         mark_valid;
    logic         tag_valid;   // send with VLAN tag `tag`
    logic         set_dmac;
    logic         set_smac;
    logic         set_src;
    logic         set_dst;
    logic         set_sport;
    logic         set_dport;
    logic [7:0]   reason;
    logic [7:0]   dest;
    logic [7:0]   ttl;
    logic [15:0]  tag;         // as a number
    logic [15:0]  queue;
    logic [31:0]  mark;
    logic [31:0]  flow_id;
    logic [15:0]  l3_csum;
    logic [15:0]  l4_csum;
    logic [47:0]  dmac;
    logic [47:0]  smac;
    logic [15:0]  sport;
    logic [15:0]  dport;
    logic [127:0] src;
    logic [127:0] dst;
  } verdict_t;

  // Operations of the table port. One at a time; tbl_done_o pulses once for each, with tbl_rdata_o and tbl_err_o.
  typedef enum logic [2:0] {
    TBL_SET_TAG       = 3'd0,  // tbl_slot_i = slot, tbl_tag_i
    TBL_CLEAR_TAG     = 3'd1,  // tbl_slot_i = slot
    TBL_DUMP          = 3'd2,  // tbl_slot_i = bucket; rdata[255:0] as DUMP_TAGS gives a bucket
    TBL_WRITE_NEXTHOP = 3'd3,  // tbl_slot_i = index, tbl_nh_i
    TBL_READ_NEXTHOP  = 3'd4,  // tbl_slot_i = index; rdata[255:0]
    TBL_FENCE         = 3'd5,  // done when no lookup that began before is unfinished, its counter update included
    TBL_FLOW_RESET    = 3'd6,  // clears tags and next hops, then fences; 2^BucketBits clocks
    TBL_READ_RECORD   = 3'd7   // tbl_slot_i = slot; rdata[1023:0]; tbl_err_o: memory answered with an error
  } tbl_op_e;

endpackage
