{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  fileOnHost = import ../../file-on-host.nix { inherit lib; };
  cfg = config.berth.agents;
in
{
  options.berth.agents = {
    tokenFile =
      fileOnHost ''
        File with the model token of this host's agents, readable by root alone. It reaches a container as a file of its agent's,
        never as an argument and never through the Nix store.
      ''
      // {
        example = "/var/secrets/claude/oauth_token";
      };
    extraPackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      example = lib.literalExpression "[ pkgs.terraform ]";
      description = "Tools that agents have besides the usual ones.";
    };
    extraDeny = mkOption {
      type = types.listOf (types.strMatching "(Bash|Read|Edit|Write|WebFetch)\\([^()]+\\)");
      default = [ ];
      example = [ "Read(//srv/customers/**)" ];
      description = "Rules of refusal besides ours (server-config/guest/agent/managed-settings.json). There is no option that takes one away.";
    };
    system = mkOption {
      type = types.package;
      readOnly = true;
      default =
        (import ../../guest/agent-system.nix {
          nixpkgs = pkgs.path;
          inherit (pkgs.stdenv.hostPlatform) system;
          extraModules = [
            {
              environment.systemPackages = cfg.extraPackages;
              guest.agent.extraDeny = cfg.extraDeny;
            }
          ];
        }).config.system.build.toplevel;
      defaultText = lib.literalMD "made from `server-config/guest/agent.nix`";
      description = "The system of every agent on this host.";
    };
  };
}
