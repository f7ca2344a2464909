# What an app's own preview-config.nix is joined with: the units that it names in `system.build.previewMeta` are started by the host, in the
# order setup, then services, and not by the boot (the host would wait for the whole setup before it calls the container started).
{ config, lib, ... }:
let
  meta = config.system.build.previewMeta;
in
{
  imports = [ ./app-user.nix ];

  systemd.services = lib.genAttrs ([ meta.setupService ] ++ meta.appServices) (_: {
    wantedBy = lib.mkForce [ ];
    partOf = [ "preview.target" ];
  });
  systemd.targets.preview = {
    description = "The app of this preview";
    wants = map (name: "${name}.service") meta.appServices;
  };

  environment.etc."preview-meta.json".text = builtins.toJSON meta;
}
