# System closures for the test host, small and without inputs, so that real nix builds real store paths offline.
# The programs come from the host's /usr, which the test host shows to its guests; NixOS closures bring their own.
{
  outputs = { self }:
    let
      # A closure is what nixos-container needs of one: `init` (sourced by PID 1) and `system`.
      closure = name: init: {
        config.system.build.toplevel = derivation {
          inherit name;
          system = "x86_64-linux";
          PATH = "/usr/bin";
          builder = "/bin/sh";
          args = [
            "-c"
            ''
              mkdir -p $out/bin
              cp ${./etc.sh} $out/etc.sh
              cp ${./web.pl} $out/web.pl
              cp ${init} $out/init
              printf x86_64-linux > $out/system
              printf '#!/bin/sh\nexit 0\n' > $out/bin/switch-to-configuration
              chmod +x $out/init $out/bin/switch-to-configuration
            ''
          ];
        };
      };
    in
    {
      nixosConfigurations = {
        container = closure "container" ./container-init.sh;
        dies = closure "dies" ./dies-init.sh;
        never-ready = closure "never-ready" ./never-ready-init.sh;
      };
    };
}
