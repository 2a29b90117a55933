// Flow engine: wires in, flow table, rewrite, wires out; what it does not know goes to the host interface.
//
// Flat vectors: port p is slice [p*W +: W]. Frame streams: valid, ready, data, bytes (1..64 valid in this beat), last.
module slu_flow_engine #(
  parameter int unsigned NumPorts      = 2,
  parameter int unsigned BucketBits    = 17,
  parameter int unsigned NextHopBits   = 12,
  parameter int unsigned StoreBits     = 11,  // log2 of 64-byte beats of a port's packet store
  parameter int unsigned HostStoreBits = 11   // log2 of 64-byte beats of a port's host FIFO
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      flow_rst_i,  // pulse: as TBL_FLOW_RESET, without tbl_done_o
  input  logic [63:0]               time_us_i,

  // Wires. RX has no back-pressure; err with last.
  input  logic [NumPorts-1:0]       rx_valid_i,
  input  logic [NumPorts*512-1:0]   rx_data_i,
  input  logic [NumPorts*64-1:0]    rx_keep_i,
  input  logic [NumPorts-1:0]       rx_last_i,
  input  logic [NumPorts-1:0]       rx_err_i,
  output logic [NumPorts-1:0]       tx_valid_o,
  input  logic [NumPorts-1:0]       tx_ready_i,
  output logic [NumPorts*512-1:0]   tx_data_o,
  output logic [NumPorts*64-1:0]    tx_keep_o,
  output logic [NumPorts-1:0]       tx_last_o,

  // Configuration.
  input  logic                      lookup_enable_i,
  input  logic [14*32-1:0]          hash_key_i,
  input  logic [NumPorts*48-1:0]    port_mac_i,
  input  logic [NumPorts-1:0]       port_enable_i,  // deliver to the host
  input  logic [NumPorts-1:0]       vlan_strip_i,   // leave the tag out of what the host gets

  // Frames to the host interface; meta is constant for all beats of a frame.
  output logic [NumPorts-1:0]       hrx_valid_o,
  input  logic [NumPorts-1:0]       hrx_ready_i,
  output logic [NumPorts*512-1:0]   hrx_data_o,
  output logic [NumPorts*7-1:0]     hrx_bytes_o,
  output logic [NumPorts-1:0]       hrx_last_o,
  output logic [NumPorts*slu_pkg::RxMetaBits-1:0] hrx_meta_o,  // NumPorts times slu_pkg::rx_meta_t

  // Frames from the host interface, as they go on that wire. Once valid, no gap within a frame is needed or forbidden.
  input  logic [NumPorts-1:0]       htx_valid_i,
  output logic [NumPorts-1:0]       htx_ready_o,
  input  logic [NumPorts*512-1:0]   htx_data_i,
  input  logic [NumPorts*7-1:0]     htx_bytes_i,
  input  logic [NumPorts-1:0]       htx_last_i,

  // Table port.
  input  logic                      tbl_valid_i,
  output logic                      tbl_ready_o,
  input  logic [2:0]                tbl_op_i,  // slu_pkg::tbl_op_e
  input  logic [31:0]               tbl_slot_i,
  input  logic [16:0]               tbl_tag_i,
  input  logic [255:0]              tbl_nh_i,
  output logic                      tbl_done_o,
  output logic                      tbl_err_o,    // with done: READ_RECORD, the memory answered with an error
  output logic [1023:0]             tbl_rdata_o,  // with done

  // Record memory, reads. 128 bytes a slot; arlen 0 (IPv4) or 1 (IPv6, READ_RECORD).
  output logic                      m_rec_arvalid_o,
  input  logic                      m_rec_arready_i,
  output logic [31:0]               m_rec_araddr_o,
  output logic [9:0]                m_rec_arid_o,
  output logic [7:0]                m_rec_arlen_o,
  input  logic                      m_rec_rvalid_i,
  output logic                      m_rec_rready_o,
  input  logic [511:0]              m_rec_rdata_i,
  input  logic [9:0]                m_rec_rid_i,
  input  logic [1:0]                m_rec_rresp_i,
  input  logic                      m_rec_rlast_i,
  output logic                      rec_error_o,  // pulse: an error response to a lookup's read

  // Flow statistics updates.
  output logic                      fst_valid_o,
  input  logic                      fst_ready_i,
  output logic [31:0]               fst_flow_id_o,
  output logic [15:0]               fst_bytes_o,
  output logic                      fst_count_o,  // 0: only last_seen

  // Port statistics of this engine (all but RX_NO_DESC, RX_TOO_LONG, TX_BAD_DESC, which read 0 here; HOST_OFF_DROP counts
  // frames of disabled ports only); the value follows one clock after port and index.
  input  logic [7:0]                pstat_port_i,
  input  logic [4:0]                pstat_idx_i,
  output logic [63:0]               pstat_value_o,

  output logic [31:0]               tags_valid_o,
  output logic                      busy_o,  // tags are being cleared: after reset or FLOW_RESET
  output logic                      idle_o   // nothing in any pipeline or FIFO
);
endmodule
