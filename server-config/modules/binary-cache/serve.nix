# harmonia serves this host's store to the others, through the mesh alone.
{ config, lib, ... }:
let
  cfg = config.berth.binaryCache.serve;
in
{
  config = lib.mkIf (config.berth.features.binaryCache && cfg.address != null && cfg.signKeyFile != null) {
    services.harmonia.cache = {
      enable = true;
      signKeyPaths = [ cfg.signKeyFile ];
      settings = {
        bind = "${cfg.address}:${toString cfg.port}";
        # Behind cache.nixos.org (40): what is public need not come from us.
        priority = 45;
      };
    };
    # The mesh may come up after the socket.
    systemd.sockets.harmonia.socketConfig.FreeBind = true;
    berth.mesh.tcpPorts = [ cfg.port ];
  };
}
