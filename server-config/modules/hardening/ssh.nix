# SSH and sudo: password refused, root by key only.
{ config, lib, ... }:
let
  inherit (config.berth.hardening) baseline;
in
{
  config = lib.mkIf config.berth.features.hardening (
    lib.mkMerge [
      {
        users.users.root.openssh.authorizedKeys.keys = config.berth.adminKeys;
      }
      (lib.mkIf baseline.sshKeysOnly {
        services.openssh = {
          enable = lib.mkDefault true;
          # One kind of host key, made on the first boot; the others only widen what a client may be talked into.
          hostKeys = [
            {
              path = "/etc/ssh/ssh_host_ed25519_key";
              type = "ed25519";
            }
          ];
          settings = {
            PasswordAuthentication = lib.mkDefault false;
            KbdInteractiveAuthentication = lib.mkDefault false;
            PermitRootLogin = lib.mkDefault "prohibit-password";
            AuthenticationMethods = "publickey";
            X11Forwarding = false;
            AllowAgentForwarding = false;
            # `preview` and `agent` on a laptop reach the operator's socket through this one kind of forward.
            AllowStreamLocalForwarding = "local";
            AllowTcpForwarding = "local";
            MaxAuthTries = 3;
            LoginGraceTime = 20;
            ClientAliveInterval = 60;
            ClientAliveCountMax = 5;
          };
        };
      })
      (lib.mkIf baseline.sudoWheelOnly {
        security.sudo.execWheelOnly = true;
      })
    ]
  );
}
