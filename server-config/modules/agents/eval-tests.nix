{ lib, pkgs, ... }:
let
  host = {
    services.openssh.enable = true;
    berth.features = {
      firewall = true;
      previewContainers = lib.mkDefault true;
      agents = true;
    };
  };
in
{
  "the agents' system is part of the host, and the token is not part of either" = {
    modules = [
      host
      {
        berth.agents = {
          tokenFile = "/var/secrets/claude/oauth_token";
          extraDeny = [ "Read(//srv/customers/**)" ];
        };
      }
    ];
    shows = config: {
      system = {
        actual = "${config.environment.etc."berth/agent-system".source}";
        contains = "nixos-system";
      };
      "what the agent command reads" = {
        actual = builtins.fromJSON config.environment.etc."berth/agents.json".text;
        equals = {
          system = "/etc/berth/agent-system";
          tokenFile = "/var/secrets/claude/oauth_token";
        };
      };
    };
  };
  "agents without containers" = {
    modules = [
      host
      { berth.features.previewContainers = false; }
    ];
    refused = "berth.features.agents needs berth.features.previewContainers";
  };
  "a token in the store" = {
    modules = [
      host
      { berth.agents.tokenFile = "${pkgs.hello}/token"; }
    ];
    throws = "berth.agents.tokenFile";
  };
  "a rule that is none" = {
    modules = [
      host
      { berth.agents.extraDeny = [ "/srv/customers" ]; }
    ];
    throws = "berth.agents.extraDeny";
  };
}
