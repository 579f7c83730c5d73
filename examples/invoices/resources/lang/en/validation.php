<?php

declare(strict_types=1);

return [
    'after_or_equal' => 'The :attribute must not be before the :date.',
    'array' => 'The :attribute are not valid.',
    'between' => ['numeric' => 'The :attribute must be from :min to :max.'],
    'date_format' => 'The :attribute must be a date.',
    'exists' => 'This :attribute does not exist.',
    'in' => 'This :attribute is not offered.',
    'integer' => 'The :attribute must be a whole number.',
    'max' => [
        'array' => 'There must not be more than :max :attribute.',
        'string' => 'The :attribute must not be longer than :max characters.',
    ],
    'min' => ['array' => 'There must be at least one position.'],
    'regex' => 'The :attribute is not valid.',
    'required' => 'The :attribute is required.',
    'string' => 'The :attribute must be text.',
    'attributes' => [],
];
