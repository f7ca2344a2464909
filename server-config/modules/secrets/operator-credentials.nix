# A secret named like one of the operator's credentials reaches it, or the web, without a further word.
{
  config,
  lib,
  options,
  ...
}:
let
  cfg = config.berth.secrets;
  known = lib.attrNames (options.berth.previewOperator.credentials.type.getSubOptions [ ]);
  given = lib.intersectLists known (lib.attrNames cfg.files);
  opened = {
    requires = [ "berth-secrets.service" ];
    after = [ "berth-secrets.service" ];
    restartTriggers = map (name: cfg.files.${name}.source) given;
  };
in
{
  config = lib.mkIf (config.berth.features.secrets && given != [ ]) {
    berth.previewOperator.credentials = lib.genAttrs given (name: lib.mkDefault cfg.files.${name}.path);
    systemd.services = lib.mkIf config.berth.features.previewOperator {
      berth-operator = opened;
      berth-web = opened;
    };
  };
}
