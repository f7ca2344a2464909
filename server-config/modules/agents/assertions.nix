{ config, lib, ... }:
{
  config.assertions = lib.mkIf config.berth.features.agents [
    {
      assertion = config.berth.features.previewContainers;
      message = "berth.features.agents needs berth.features.previewContainers, which agents' containers are made with.";
    }
  ];
}
