# The operator listens on unix sockets only, and Prometheus reads TCP only: systemd passes loopback on to the socket that
# says metrics and nothing else.
{ config, lib, ... }:
let
  cfg = config.berth.previewOperator;
  hostPort = import ../../host-port.nix;
in
{
  config = lib.mkIf (config.berth.features.previewOperator && config.berth.features.observability) {
    systemd.sockets.berth-metrics = {
      description = "Berth: the operator's metrics on loopback";
      wantedBy = [ "sockets.target" ];
      listenStreams = [ (hostPort cfg.listen cfg.metricsPort) ];
    };
    systemd.services.berth-metrics = {
      description = "Berth: the operator's metrics on loopback";
      serviceConfig = import ../../unit-sandbox.nix // {
        ExecStart = "${config.systemd.package}/lib/systemd/systemd-socket-proxyd --exit-idle-time=5min /run/berth/metrics.sock";
        User = cfg.user;
        Group = cfg.user;
        # It is handed the connections; it makes none but to the unix socket.
        PrivateNetwork = true;
        IPAddressDeny = "any";
        IPAddressAllow = "localhost";
        MemoryMax = "32M";
        TasksMax = 8;
      };
    };
  };
}
